/** Traces and metrics over OTLP/HTTP. The OpenTelemetry packages are loaded when an endpoint is configured, and not before. */
import type { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import type { IOtlpExportDelegate } from '@opentelemetry/otlp-exporter-base';
import type { Resource } from '@opentelemetry/resources';
import type { Clock, Timer } from '../../core/clock.ts';
import { loadOnce } from '../../core/load-once.ts';
import { within } from '../../core/within.ts';
import type { Logger } from '../logs.ts';
import type { ExposedFamily } from '../metrics.ts';
import type { Trace } from '../traces.ts';
import { metricsOf } from './metric-data.ts';
import { createRejectedSpans } from './rejected-spans.ts';
import { SpanQueue } from './span-queue.ts';
import { countSpans, createSpanSerializer, type Scope } from './span-serializer.ts';
import type { FindProvider } from './span-text.ts';

export interface OtlpOptions {
  /** Base URL of the collector. */
  readonly endpoint: string;
  /** Whether metrics are sent too. */
  readonly metrics: boolean;
  readonly version: string;
  readonly provider: FindProvider;
}

export interface OtlpContext {
  readonly clock: Clock;
  readonly log: Logger;
  /** The metrics, as of now. */
  readonly families: () => readonly ExposedFamily[];
}

export interface Otlp {
  /** A request has finished. `trace` undefined: its events are no longer stored. */
  record(trace: Trace | undefined, attempts: number): void;
  /** A request was rejected before a target was chosen. */
  recordRejected(trace: Trace): void;
  readonly lostSpans: number;
  readonly exportedSpans: number;
  readonly lostMetricExports: number;
  flush(): Promise<void>;
  close(): Promise<void>;
}

const metricsEveryMs = 60_000;
const flushTimeoutMs = 1_500;
/** Limit of one export with its retries, in milliseconds, unless `OTEL_EXPORTER_OTLP_TIMEOUT` is set. */
const requestTimeoutMs = 5_000;
/** More than the queue ever has in flight, so that the exporter itself rejects none. */
const concurrencyLimit = 32;

interface Loaded {
  readonly resource: Resource;
  readonly spans: IOtlpExportDelegate<readonly Trace[]>;
  readonly metrics: OTLPMetricExporter | null;
}

export function createOtlp(options: OtlpOptions, { clock, log, families }: OtlpContext): Otlp {
  const scope = { name: 'breakwater', version: options.version };
  const rejected = createRejectedSpans(clock, log);
  const onPartial = (spans: number, message: string): void => {
    queue.countRejected(spans);
    rejected.count(spans, message);
  };
  const load = loadOnce(() => loadExporters(options, scope, onPartial));
  const startedAt = clock.epochMs();
  const queue = new SpanQueue({
    clock,
    send(traces, onEnd) {
      load()
        .then(({ spans }) => exported((end) => spans.export(traces, end)))
        .then(() => onEnd(null), onEnd);
    },
    onTrouble: (error) => log.warn({ error: errorText(error) }, 'spans cannot be exported; they are dropped until they can'),
    onRecovered: (lost) => log.warn({ lost }, `${lost} spans were lost`),
  });
  let lostMetricExports = 0;
  let timer: Timer | null = options.metrics ? clock.schedule(metricsEveryMs, pushMetrics) : null;

  function pushMetrics(): void {
    timer = clock.schedule(metricsEveryMs, pushMetrics);
    void exportMetrics();
  }

  async function exportMetrics(): Promise<void> {
    try {
      const { resource, metrics } = await load();
      const data = { resource, scopeMetrics: [{ scope, metrics: metricsOf(families(), startedAt, clock.epochMs()) }] };
      await exported((end) => metrics!.export(data, end));
    } catch (error) {
      if (lostMetricExports++ > 0) return;
      log.warn({ error: errorText(error as Error) }, 'metrics cannot be exported over OTLP; this is retried every minute');
    }
  }

  return {
    record(trace, attempts) {
      if (trace === undefined) return queue.countLost(1 + attempts);
      if (trace.received.trace?.isSampled === true) queue.push(trace);
    },
    recordRejected(trace) {
      if (trace.received.trace?.isSampled === true) queue.pushLesser(trace);
    },
    get lostSpans() {
      return queue.lost;
    },
    get exportedSpans() {
      return queue.exported;
    },
    get lostMetricExports() {
      return lostMetricExports;
    },
    flush: () => queue.flush(flushTimeoutMs),
    async close() {
      const isPushing = timer !== null;
      timer?.cancel();
      timer = null;
      const lastMetrics = isPushing ? within(clock, flushTimeoutMs, exportMetrics()) : null;
      await Promise.all([queue.close(flushTimeoutMs), lastMetrics]);
      rejected.close();
    },
  };
}

type OnPartial = (rejected: number, message: string) => void;

async function loadExporters(options: OtlpOptions, scope: Scope, onPartial: OnPartial): Promise<Loaded> {
  const { endpoint, metrics, version } = options;
  const [http, resources] = await Promise.all([import('@opentelemetry/otlp-exporter-base/node-http'), import('@opentelemetry/resources')]);
  const own = resources.resourceFromAttributes({ 'service.name': 'breakwater', 'service.version': version });
  // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
  const resource = own.merge(resources.detectResources({ detectors: [resources.envDetector] }));
  const settings = {
    concurrencyLimit,
    ...(process.env['OTEL_EXPORTER_OTLP_TIMEOUT'] === undefined && { timeoutMillis: requestTimeoutMs }),
  };
  const toTraces = http.convertLegacyHttpOptions({ url: signalUrl(endpoint, 'traces'), ...settings }, 'TRACES', 'v1/traces', {
    'content-type': 'application/json',
  });
  const serializer = createSpanSerializer(resource.attributes, scope, options.provider, onPartial);
  const spans = http.createOtlpHttpExportDelegate(
    toTraces,
    serializer,
    'otlp_http_span_exporter',
    { name: 'span', countItems: countSpans },
    undefined,
  );
  if (!metrics) return { resource, spans, metrics: null };
  const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-http');
  return { resource, spans, metrics: new OTLPMetricExporter({ url: signalUrl(endpoint, 'metrics'), ...settings }) };
}

/** Rejects if the export fails. */
function exported(start: (end: (result: { readonly code: number; readonly error?: Error }) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start(({ code, error }) => (code === 0 ? resolve() : reject(error ?? new Error('the export failed'))));
  });
}

/** The address of one signal: `/v1/traces` below the endpoint, which may be that address already. */
export function signalUrl(endpoint: string, signal: 'traces' | 'metrics'): string {
  const url = new URL(endpoint);
  const base = url.pathname.replace(/\/(?:v1\/traces)?\/?$/, '');
  url.pathname = `${base}/v1/${signal}`;
  return url.href;
}

/** Connection errors have a code and sometimes no message. */
function errorText(error: Error & { readonly code?: unknown }): string {
  return error.message === '' ? String(error.code ?? error.name) : error.message;
}
