import { createRequire } from 'node:module';
import type { Metric, Registry } from 'prom-client';
import type { Clock } from '../core/clock.ts';
import type { AttemptEndEvent, BreakerState, BreakwaterEvent, FinishedEvent } from '../core/events.ts';
import { SCHEDULING_CLASSES } from '../core/request.ts';
import { processMetrics } from './process-metrics.ts';
import { boundedSnapshot } from './bounded-snapshot.ts';
import type { Redact } from './redact.ts';
import { scraped, CounterFamily, HistogramFamily, LabelValues, type ScrapedFamily, type Sample } from './series.ts';
import type { Snapshot } from './snapshot.ts';

/** Upper bounds in seconds. Model calls take from milliseconds (refused, cached, simulated) to ten minutes. */
const durationBounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600];
/** Maximum number of targets named only by callers, as label values. */
export const unnamedTargetsMax = 50;
/** Maximum number of resources or breakers with series of their own. */
const gaugeSamplesMax = 2_000;
const breakerValues: Readonly<Record<BreakerState, number>> = { closed: 0, 'half-open': 1, open: 2, isolated: 3 };
const contentType = 'text/plain; version=0.0.4; charset=utf-8';

export interface MetricsOptions {
  readonly clock: Clock;
  /** The state of the engine, read at each scrape. */
  readonly snapshot?: () => Snapshot | null;
  /** Masks the names of targets in the snapshot; those in events are masked already. Default: unchanged. */
  readonly cleanName?: Redact;
  /** Whether a model name is a label value of its own; others count as `other`. Default: any, up to a limit. */
  readonly isConfiguredModel?: (model: string) => boolean;
  /** Whether the config names this target or credential; only a few others are label values, so that callers can't use up the limit. Default: true. */
  readonly isConfiguredTarget?: (subject: string) => boolean;
  /** Counters of other parts, read at each scrape. */
  readonly dropped: { readonly logLines: () => number; readonly requestRecords: () => number; readonly feedReaders?: () => number };
  /** Of the exports over OTLP, read at each scrape. Default: none. */
  readonly otlp?: { readonly exportedSpans: number; readonly lostSpans: number; readonly lostMetricExports: number } | undefined;
  /** Loads prom-client's registry, and may throw. Default: from its package. */
  readonly loadRegistry?: () => typeof Registry;
}

/** Prometheus metrics, described in docs/metrics.md. */
export interface Metrics {
  record(event: BreakwaterEvent): void;
  readonly contentType: string;
  /** The exposition text. The first call loads prom-client. */
  scrape(): Promise<string>;
  /** All metrics, read now. */
  families(): readonly ExposedFamily[];
}

export function createMetrics(options: MetricsOptions): Metrics {
  const families = createFamilies();
  const labels: Labels = {
    models: new LabelValues(options.isConfiguredModel),
    clients: new LabelValues(),
    targets: new LabelValues(options.isConfiguredTarget, unnamedTargetsMax),
    subjects: new LabelValues(options.isConfiguredTarget, unnamedTargetsMax),
  };
  const engine = createEngineGauges(options, labels);
  const all: readonly ExposedFamily[] = [
    ...Object.values(families),
    ...engine.families,
    scraped('counter', 'breakwater_log_lines_dropped_total', 'Log lines lost to a slow or broken sink.', options.dropped.logLines),
    scraped('counter', 'breakwater_request_records_dropped_total', 'Records lost from the request log.', options.dropped.requestRecords),
    scraped(
      'counter',
      'breakwater_feed_readers_dropped_total',
      'Readers of /admin/events disconnected for being too slow.',
      options.dropped.feedReaders ?? (() => 0),
    ),
    ...otlpMetrics(options),
    ...processMetrics(options.clock),
  ];
  const write = createExposition(all, options.loadRegistry ?? requireRegistry);

  return {
    record(event) {
      engine.record(event);
      count(event, families, labels);
    },
    contentType,
    scrape() {
      engine.refresh();
      return write();
    },
    families() {
      engine.refresh();
      return all;
    },
  };
}

function otlpMetrics({ otlp }: MetricsOptions): ScrapedFamily[] {
  if (otlp === undefined) return [];
  return [
    scraped('counter', 'breakwater_spans_exported_total', 'Spans accepted by the OTLP collector.', () => otlp.exportedSpans),
    scraped('counter', 'breakwater_spans_dropped_total', 'Spans lost to a slow or unreachable OTLP collector.', () => otlp.lostSpans),
    scraped('counter', 'breakwater_otlp_metric_failures_total', 'Exports of metrics over OTLP that failed.', () => otlp.lostMetricExports),
  ];
}

type Families = ReturnType<typeof createFamilies>;

interface Labels {
  readonly models: LabelValues;
  readonly clients: LabelValues;
  readonly targets: LabelValues;
  readonly subjects: LabelValues;
}

function createFamilies() {
  const counter = (name: string, help: string, ...labels: string[]) => new CounterFamily(`breakwater_${name}`, help, labels);
  const seconds = (name: string, help: string, ...labels: string[]) =>
    new HistogramFamily(`breakwater_${name}_seconds`, help, labels, durationBounds);
  return {
    requests: counter('requests_total', 'Finished requests.', 'model', 'client', 'priority', 'outcome', 'code'),
    attempts: counter('attempts_total', 'Finished attempts.', 'target', 'verdict', 'reason'),
    unknown: counter('unknown_errors_total', 'Attempts refused with an error that no rule matches.', 'target'),
    failedChecks: counter('failed_quality_checks_total', 'Complete responses that failed a quality check.', 'target', 'quality'),
    races: counter(
      'hedges_total',
      'Attempts started beside a silent one; kind: hedge, probe (beside the probe of a half-open breaker), or rescue (beside one silent for too long).',
      'target',
      'kind',
    ),
    racesWon: counter('hedges_won_total', 'Those of them whose response was delivered.', 'target', 'kind'),
    tokens: counter('tokens_total', 'Tokens as counted by the providers; cached input is part of input.', 'target', 'kind'),
    cost: counter('cost_usd_total', 'Cost of finished requests in US dollars, where prices are configured.', 'model', 'client'),
    unmeasured: counter(
      'unmeasured_calls_total',
      'Billed calls whose responses reported no usage, or not all of it: cost_usd_total lacks it.',
      'model',
      'client',
    ),
    estimatedCost: counter(
      'estimated_cost_usd_total',
      'Cost of what these calls did not report, by estimate; not part of cost_usd_total.',
      'model',
      'client',
    ),
    wastedTokens: counter('wasted_tokens_total', 'Tokens of calls whose responses were not used; part of tokens_total.', 'model', 'kind'),
    wastedCost: counter('wasted_cost_usd_total', 'Cost of calls whose responses were not used; part of cost_usd_total.', 'model', 'client'),
    fallbacks: counter('fallbacks_total', 'Requests not served by their first choice.', 'model', 'reason'),
    cache: counter('cache_responses_total', 'Requests served from the cache, or by the response to an identical request.', 'model', 'use'),
    cooldowns: counter('cooldowns_total', 'Cooldowns of targets and quarantines of credentials.', 'subject', 'kind', 'reason'),
    breakerChanges: counter('breaker_changes_total', 'Transitions of a breaker to a state.', 'target', 'to'),
    warnings: counter('warnings_total', 'Warnings to the operator.'),
    requestDuration: seconds('request_duration', 'From arrival to the end of the response.', 'model'),
    firstContent: seconds(
      'time_to_first_content',
      'From arrival to the first content (streams) or the complete response (non-streaming).',
      'model',
    ),
    queueWait: seconds('queue_wait', 'Time in the queue of a finished request.', 'priority'),
    attemptDuration: seconds('attempt_duration', 'From sending an attempt to its end.', 'target'),
  };
}

function count(event: BreakwaterEvent, families: Families, labels: Labels): void {
  switch (event.type) {
    case 'rejected':
      families.requests.add(
        1,
        labels.models.admit(event.model ?? 'none'),
        labels.clients.admit(event.client ?? 'none'),
        'none',
        'refused',
        event.code,
      );
      return;
    case 'attempt':
      return event.race === null ? undefined : families.races.add(1, labels.targets.admit(event.target), event.race);
    case 'committed':
      return event.race === null ? undefined : families.racesWon.add(1, labels.targets.admit(event.target), event.race);
    case 'attempt_end':
      return countAttempt(event, families, labels);
    case 'finished':
      return countRequest(event, families, labels);
    case 'cooldown':
      return families.cooldowns.add(1, labels.subjects.admit(event.subject), event.kind, event.reason);
    case 'breaker':
      return families.breakerChanges.add(1, labels.targets.admit(event.target), event.to);
    case 'warning':
      return families.warnings.add(1);
    default:
  }
}

function countAttempt(event: AttemptEndEvent, families: Families, labels: Labels): void {
  const target = labels.targets.admit(event.target);
  families.attempts.add(1, target, event.verdict, event.reason ?? 'none');
  families.attemptDuration.observe(event.durationMs / 1_000, target);
  if (event.reason === 'refused') families.unknown.add(1, target);
  if (event.quality !== null) families.failedChecks.add(1, target, event.quality);
  if (event.usage === null) return;
  families.tokens.add(event.usage.inputTokens, target, 'input');
  if (event.usage.cachedInputTokens > 0) families.tokens.add(event.usage.cachedInputTokens, target, 'cached_input');
  families.tokens.add(event.usage.outputTokens, target, 'output');
}

function countRequest(event: FinishedEvent, families: Families, labels: Labels): void {
  const model = labels.models.admit(event.model);
  const client = labels.clients.admit(event.client);
  families.requests.add(1, model, client, event.priority, event.outcome, event.code ?? 'none');
  families.requestDuration.observe(event.durationMs / 1_000, model);
  families.queueWait.observe(event.queueMs / 1_000, event.priority);
  if (event.firstContentMs !== null) families.firstContent.observe(event.firstContentMs / 1_000, model);
  if (event.costUsd !== null) families.cost.add(event.costUsd, model, client);
  if (event.unmeasuredCalls !== undefined) families.unmeasured.add(event.unmeasuredCalls, model, client);
  if (event.estimatedUsd !== undefined) families.estimatedCost.add(event.estimatedUsd, model, client);
  if (event.wasted !== undefined) {
    families.wastedTokens.add(event.wasted.usage.inputTokens, model, 'input');
    families.wastedTokens.add(event.wasted.usage.outputTokens, model, 'output');
    if (event.wasted.costUsd !== null) families.wastedCost.add(event.wasted.costUsd, model, client);
  }
  if (event.cache !== null) families.cache.add(1, model, event.cache);
  if (event.fallback !== null) families.fallbacks.add(1, model, event.fallback);
}

interface EngineGauges {
  readonly families: readonly ScrapedFamily[];
  record(event: BreakwaterEvent): void;
  /** Reads the snapshot for the families. */
  refresh(): void;
}

/** Gauges of the engine's state: from its snapshot, or, without one, from events as far as possible. */
function createEngineGauges({ snapshot, cleanName = (name) => name }: MetricsOptions, labels: Labels): EngineGauges {
  let requestsInFlight = 0;
  let attemptsInFlight = 0;
  const breakers = new Map<string, BreakerState>();
  let held: Snapshot | undefined;
  const ask = (samples: (held: Snapshot) => Sample[]) => () => (held === undefined ? [] : samples(held));
  const gauge = (name: string, help: string, samples: () => Sample[] | number) => scraped('gauge', `breakwater_${name}`, help, samples);

  const families = [
    gauge('in_flight', 'Requests received and not finished.', () => held?.inFlight ?? requestsInFlight),
    gauge('attempts_in_flight', 'Attempts sent and not ended.', () => attemptsInFlight),
    gauge('queue_length', 'Requests waiting for a permit.', ask(queueSamples)),
    gauge('held_bytes', 'Bytes of requests and responses held in memory.', ask(heldSamples)),
    gauge('resource_limit', "A resource's limit, in its own unit.", ask(limitSamples)),
    gauge('resource_available', 'What is available of a resource now, in its own unit.', ask(availableSamples)),
    gauge('resource_share', 'The amount of a fleet limit that this instance may use at once, in its own unit.', ask(shareSamples)),
    gauge('fleet_instances', 'Instances that share the store.', ask(instanceSamples)),
    gauge('fleet_linked', '1 while the shared store responds.', ask(linkedSamples)),
    gauge('input_estimate_factor', 'Ratio of input tokens counted by the provider to those estimated.', ask(factorSamples)),
    gauge('cached_input_share', 'Recent share of input tokens that the provider read from its cache.', ask(cachedSamples)),
    gauge('local_engine_loaded', '1 while a local model is loaded.', ask(engineSamples)),
    gauge('local_engine_memory_bytes', 'Memory of a local model, in bytes.', ask(engineMemorySamples)),
    gauge('breaker_state', '0 closed, 1 half-open, 2 open, 3 isolated.', () =>
      breakerSamples(held?.breakers ?? Array.from(breakers, ([target, state]) => ({ target, state }))),
    ),
  ];
  return {
    families,
    record(event) {
      if (event.type === 'received') requestsInFlight++;
      else if (event.type === 'finished') requestsInFlight--;
      else if (event.type === 'attempt') attemptsInFlight++;
      else if (event.type === 'attempt_end') attemptsInFlight--;
      else if (event.type === 'breaker' && snapshot === undefined && labels.targets.admitsAlone(event.target))
        breakers.set(event.target, event.to);
    },
    refresh() {
      const now = snapshot?.() ?? null;
      held = now === null ? undefined : boundedSnapshot(now, cleanName, labels);
    },
  };
}

function queueSamples(held: Snapshot): Sample[] {
  return SCHEDULING_CLASSES.map((priority) => ({ labels: { priority }, value: held.queueLength[priority] }));
}

function heldSamples(held: Snapshot): Sample[] {
  return [{ labels: {}, value: held.heldBytes }];
}

function limitSamples({ resources }: Snapshot): Sample[] {
  return resources
    .slice(0, gaugeSamplesMax)
    .flatMap(({ id, kind, limit }) => (limit === null ? [] : [{ labels: { resource: id, kind }, value: limit }]));
}

function availableSamples({ resources }: Snapshot): Sample[] {
  return resources.slice(0, gaugeSamplesMax).map(({ id, kind, available }) => ({ labels: { resource: id, kind }, value: available }));
}

function shareSamples({ resources }: Snapshot): Sample[] {
  return resources
    .slice(0, gaugeSamplesMax)
    .flatMap(({ id, kind, share }) => (share === undefined ? [] : [{ labels: { resource: id, kind }, value: share }]));
}

function instanceSamples({ fleet }: Snapshot): Sample[] {
  return fleet == null ? [] : [{ labels: {}, value: fleet.instances }];
}

function linkedSamples({ fleet }: Snapshot): Sample[] {
  return fleet == null ? [] : [{ labels: {}, value: fleet.isLinked ? 1 : 0 }];
}

function factorSamples({ estimates }: Snapshot): Sample[] {
  return estimates.slice(0, gaugeSamplesMax).map(({ target, inputFactor }) => ({ labels: { target }, value: inputFactor }));
}

function cachedSamples({ estimates }: Snapshot): Sample[] {
  return estimates.slice(0, gaugeSamplesMax).map(({ target, cachedShare }) => ({ labels: { target }, value: cachedShare }));
}

function engineSamples({ engines }: Snapshot): Sample[] {
  return engines.slice(0, gaugeSamplesMax).map(({ target, loaded }) => ({ labels: { target }, value: loaded ? 1 : 0 }));
}

function engineMemorySamples({ engines }: Snapshot): Sample[] {
  return engines.slice(0, gaugeSamplesMax).flatMap(({ target, heapBytes, loadedBytes }) => [
    { labels: { target, part: 'heap' }, value: heapBytes },
    { labels: { target, part: 'loaded' }, value: loadedBytes },
  ]);
}

function breakerSamples(breakers: Snapshot['breakers']): Sample[] {
  return breakers.slice(0, gaugeSamplesMax).map(({ target, state }) => ({ labels: { target }, value: breakerValues[state] }));
}

export interface ExposedFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  samples(): Sample[];
}

/** Formats the families with prom-client's registry, loaded at the first scrape: it takes longer to load than the rest of telemetry. */
function createExposition(families: readonly ExposedFamily[], loadRegistry: () => RegistryClass): () => Promise<string> {
  let registry: InstanceType<RegistryClass> | null = null;

  function load(): InstanceType<RegistryClass> {
    const made = new (loadRegistry())();
    for (const family of families) {
      const { name, help, type } = family;
      const get = () => Promise.resolve({ name, help, type, aggregator: 'sum', values: family.samples() });
      // A registry uses a metric's name and `get()` only; its type lists prom-client's own classes.
      made.registerMetric({ name, get } as unknown as Metric);
    }
    return made;
  }
  return async () => (registry ??= load()).metrics();
}

type RegistryClass = typeof Registry;

/** By `require`: a failed `import` (too many open files) would fail for the lifetime of the process. */
function requireRegistry(): RegistryClass {
  return (createRequire(import.meta.url)('prom-client') as { Registry: RegistryClass }).Registry;
}
