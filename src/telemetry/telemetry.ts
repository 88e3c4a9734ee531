import type { Writable } from 'node:stream';
import type { Captures } from '../core/captures.ts';
import type { Clock } from '../core/clock.ts';
import type { BreakwaterEvent, EventBus, ReceivedEvent } from '../core/events.ts';
import { SecretMask } from '../core/secrets/secret-mask.ts';
import { cleanEvent, createNameCleaner } from './clean-event.ts';
import { Feed } from './feed.ts';
import type { LineSink } from './line-queue.ts';
import { createLogs, type Logger, type LogLevel } from './logs.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { createOtlp, type OtlpOptions } from './otlp/otlp.ts';
import { createBodyRedact, createRedact } from './redact.ts';
import { createRejectionGate } from './rejection-gate.ts';
import { createRequestLog } from './request-log.ts';
import { fileSink, stderrSink, streamSink } from './sinks.ts';
import type { Snapshot } from './snapshot.ts';
import { createTimelines, type Timelines } from './timelines.ts';
import { Traces, type TraceBounds } from './traces.ts';

export interface TelemetryOptions {
  readonly logs: {
    readonly level: LogLevel;
    /** Default: this process's stderr. */
    readonly destination?: LineSink | Writable;
  };
  readonly requests: {
    /** Path of the request log; empty if there is none. */
    readonly file: string;
  };
  readonly clock: Clock;
  /** All configured keys, of providers and clients, which are masked everywhere. */
  readonly secrets: readonly string[];
  /** The state of the engine, read at each scrape. Without it, or while it is null, the gauges that need it are absent. */
  readonly snapshot?: () => Snapshot | null;
  /** The status of the gateway for the dashboard: read once a second while it has readers; JSON-ready. Default: none. */
  readonly status?: () => unknown;
  /** Whether a model name is a label value of its own in the metrics; others are `other`. Default: any, up to 200. */
  readonly isConfiguredModel?: (model: string) => boolean;
  /** The same for a target or credential; 50 of the others are label values. Default: any, up to 200. */
  readonly isConfiguredTarget?: (subject: string) => boolean;
  /** Prompts for the log and bodies for the request log; absent: neither is written. */
  readonly captures?: Captures;
  /** Export over OTLP; absent: none. */
  readonly otlp?: OtlpOptions;
  /** Limits of the timelines kept. */
  readonly timelines?: TraceBounds;
}

export interface Telemetry {
  /** Listens to all events; returns a function that stops it. */
  attach(bus: EventBus): () => void;
  readonly metrics: Pick<Metrics, 'contentType' | 'scrape'>;
  readonly timelines: Timelines;
  /** The feed of the dashboard. */
  readonly feed: Feed;
  readonly log: Logger;
  /** For a reload of the configuration. */
  update(change: { readonly level?: LogLevel; readonly secrets?: readonly string[] }): void;
  /** Reopens the request log, after a rotation by rename. */
  reopen(): void;
  /** Resolves when all records and spans so far are written or lost, after 2.25 seconds at most. */
  flush(): Promise<void>;
  /** Flushes and closes the files; later log lines are dropped. */
  close(): Promise<void>;
}

export function createTelemetry(options: TelemetryOptions): Telemetry {
  const { clock, captures } = options;
  let redact = createRedact(options.secrets);
  let cleanName = createNameCleaner(options.secrets);
  let redactBody = createBodyRedact(options.secrets);
  let secrets = new SecretMask(options.secrets);
  const logs = createLogs({ level: options.logs.level, sink: toSink(options.logs.destination), clock, secrets: options.secrets });
  const { log } = logs;
  const rejections = createRejectionGate(clock, log);
  const traces = new Traces(clock, options.timelines);
  const file = options.requests.file === '' ? null : fileSink(options.requests.file);
  const requests =
    file === null
      ? null
      : createRequestLog({ sink: file, path: options.requests.file, clock, log, captures, redact: (text) => redactBody(text) });
  const timelines = createTimelines(traces, clock);
  const feed = new Feed({ clock, traces, timelines, status: options.status ?? (() => null), mask: (text) => secrets.text(text) });
  const otlp = options.otlp === undefined ? undefined : createOtlp(options.otlp, { clock, log, families: () => metrics.families() });
  const metrics = createMetrics({
    clock,
    otlp,
    dropped: { logLines: () => logs.dropped, requestRecords: () => requests?.dropped ?? 0, feedReaders: () => feed.dropped },
    cleanName: (name) => cleanName(name),
    ...sourcesOf(options),
  });

  function listen(event: BreakwaterEvent): void {
    const epochMs = clock.epochMs();
    const cleaned = cleanEvent(event, redact, cleanName);
    if (cleaned.type !== 'rejected' || rejections.admits()) logs.record(cleaned, epochMs);
    if (cleaned.type === 'received' && captures !== undefined) logPrompt(cleaned);
    metrics.record(cleaned);
    if (!('requestId' in cleaned)) return feed.record(cleaned, undefined, epochMs);
    const trace = traces.record(cleaned, epochMs);
    feed.record(cleaned, trace, epochMs);
    if (cleaned.type === 'rejected') otlp?.recordRejected(trace!);
    if (cleaned.type !== 'finished') return;
    requests?.record(cleaned, trace);
    otlp?.record(trace, cleaned.attempts);
  }

  function logPrompt({ requestId, client, model }: ReceivedEvent): void {
    const prompt = captures!.prompt(requestId);
    if (prompt !== null) log.info({ event: 'prompt', requestId, client, model, prompt: redactBody(prompt) }, 'prompt');
  }

  return {
    attach: (bus) => bus.onAny(listen),
    metrics,
    timelines,
    feed,
    log,
    update(change) {
      if (change.secrets !== undefined) {
        redact = createRedact(change.secrets);
        cleanName = createNameCleaner(change.secrets);
        redactBody = createBodyRedact(change.secrets);
        secrets = new SecretMask(change.secrets);
      }
      logs.update(change);
    },
    reopen: () => file?.reopen(),
    async flush() {
      await Promise.all([requests?.flush(), otlp?.flush()]);
      await logs.flush();
    },
    async close() {
      feed.close();
      rejections.close();
      // These first: closing them may log a warning.
      await Promise.all([requests?.close(), otlp?.close()]);
      await logs.close();
    },
  };
}

/** The parts of the options that the metrics read. */
function sourcesOf({ snapshot, isConfiguredModel, isConfiguredTarget }: TelemetryOptions) {
  return {
    ...(snapshot && { snapshot }),
    ...(isConfiguredModel && { isConfiguredModel }),
    ...(isConfiguredTarget && { isConfiguredTarget }),
  };
}

function toSink(destination: LineSink | Writable | undefined): LineSink {
  if (destination === undefined) return stderrSink();
  return 'pipe' in destination ? streamSink(destination) : destination;
}
