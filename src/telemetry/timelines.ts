import type { Clock } from '../core/clock.ts';
import type { CacheUse, EventType, FinishedEvent, OtherCost, RequestOutcome, Wasted } from '../core/events.ts';
import type { TokenUsage } from '../core/facts.ts';
import type { Reason } from '../core/outcome.ts';
import type { Operation, Protocol, SchedulingClass } from '../core/request.ts';
import { tenths } from './log-lines.ts';
import { recordOf, type RequestRecord } from './request-log.ts';
import { otherCost } from './other-cost.ts';
import { explain, type Explanation } from './explanation.ts';
import { entryOf, type TimelineEntry } from './timeline-entry.ts';
import type { Trace, Traces } from './traces.ts';

/** Maximum number of summaries per page. */
export const listLimitMax = 1_000;
const listLimitDefault = 100;

/** The summary of a request. Durations in milliseconds. JSON-ready. */
export interface RequestSummary extends OtherCost {
  readonly id: string;
  /** The number of the request since the start; `before` of the next page. */
  readonly sequence: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly protocol: Protocol;
  readonly operation: Operation;
  readonly model: string;
  readonly client: string;
  readonly priority: SchedulingClass;
  readonly stream: boolean;
  readonly outcome: RequestOutcome | 'running';
  /** The text of the last event. */
  readonly lastEvent: EventType;
  readonly status: number | null;
  readonly code: FinishedEvent['code'];
  /** The target of the response, or, while the request runs, of its last attempt. */
  readonly target: string | null;
  readonly attempts: number;
  readonly fallback: Reason | null;
  readonly cache: CacheUse | null;
  readonly queueMs: number;
  readonly durationMs: number;
  readonly firstContentMs: number | null;
  readonly usage: TokenUsage | null;
  readonly costUsd: number | null;
  /** The part of both for calls whose response was not used; absent if there is none. */
  readonly wasted?: Wasted;
  /** A rejected request that counts among the errors that callers see (recent-errors.ts). */
  readonly callerVisible?: true;
}

/** The timeline of one request. JSON-ready. */
export interface Timeline extends RequestSummary {
  readonly deadlineMs: number;
  readonly bodyBytes: number;
  readonly inputTokens: number;
  readonly outputBound: number | null;
  /** Time in ended attempts, sequential or parallel. */
  readonly upstreamMs: number;
  /** Planned backoff between attempts. */
  readonly backoffMs: number;
  readonly entries: readonly TimelineEntry[];
  /** Number of entries left out. */
  readonly skippedEntries: number;
  /** The explanation in sentences, with the bars of a waterfall; its wording may change. */
  readonly story: Explanation;
}

export interface ListOptions {
  /** Default 100, at most 1,000. */
  readonly limit?: number;
  readonly outcome?: RequestOutcome | 'running';
  readonly status?: number;
  readonly model?: string;
  readonly client?: string;
  /** Only requests received before the one with this `sequence`. */
  readonly before?: number;
}

export interface Timelines {
  /** Newest first. */
  list(options?: ListOptions): RequestSummary[];
  /** Finished requests as records of the request log, oldest first: of those that `list` would return. */
  records(options?: ListOptions): RequestRecord[];
  /** Null if the request is unknown or no longer stored. */
  get(requestId: string): Timeline | null;
}

export function createTimelines(traces: Traces, clock: Clock): Timelines {
  return {
    list: (options) => found(traces, options).map((trace) => summaryOf(trace, clock)),
    records: (options) =>
      found(traces, options)
        .toReversed()
        .flatMap((trace) => (trace.finished === null ? [] : [recordOf(trace.finished, trace, clock)])),
    get(requestId) {
      const trace = traces.find(requestId);
      return trace === undefined ? null : timelineOf(trace, clock);
    },
  };
}

/** Newest first. */
function found(traces: Traces, { limit = listLimitDefault, ...filter }: ListOptions = {}): Trace[] {
  const wanted: Trace[] = [];
  for (const trace of traces.newestFirst()) {
    if (wanted.length >= Math.min(limit, listLimitMax)) break;
    if (matches(trace, filter)) wanted.push(trace);
  }
  return wanted;
}

function matches(trace: Trace, filter: Omit<ListOptions, 'limit'>): boolean {
  const { received, finished, sequence } = trace;
  if (filter.before !== undefined && sequence >= filter.before) return false;
  if (filter.model !== undefined && received.model !== filter.model) return false;
  if (filter.client !== undefined && received.client !== filter.client) return false;
  if (filter.status !== undefined && finished?.status !== filter.status) return false;
  return filter.outcome === undefined || (finished?.outcome ?? 'running') === filter.outcome;
}

/** The summary of a request. */
export function summaryOf(trace: Trace, clock: Clock): RequestSummary {
  const { received, finished } = trace;
  return {
    id: received.requestId,
    sequence: trace.sequence,
    startedAt: new Date(trace.startedEpochMs).toISOString(),
    protocol: received.protocol,
    operation: received.operation,
    model: received.model,
    client: received.client,
    priority: received.priority,
    stream: received.stream,
    ...(finished === null ? progressOf(trace, clock) : resultOf(finished)),
    ...(trace.isCallerVisible === true && { callerVisible: true }),
  };
}

type Progress = Omit<
  RequestSummary,
  'id' | 'sequence' | 'startedAt' | 'protocol' | 'operation' | 'model' | 'client' | 'priority' | 'stream'
>;

function resultOf(finished: FinishedEvent): Progress {
  return {
    outcome: finished.outcome,
    lastEvent: 'finished',
    status: finished.status,
    code: finished.code,
    target: finished.target,
    attempts: finished.attempts,
    fallback: finished.fallback,
    cache: finished.cache,
    queueMs: tenths(finished.queueMs),
    durationMs: tenths(finished.durationMs),
    firstContentMs: finished.firstContentMs === null ? null : tenths(finished.firstContentMs),
    usage: finished.usage,
    costUsd: finished.costUsd,
    ...otherCost(finished),
    ...(finished.wasted === undefined ? {} : { wasted: finished.wasted }),
  };
}

/** The summary of a running request, by its events so far. */
function progressOf(trace: Trace, clock: Clock): Progress {
  const { received, events } = trace;
  const now = clock.now();
  let target: string | null = null;
  let attempts = 0;
  let queueMs = 0;
  let queuedAt: number | null = null;
  for (const event of events) {
    if (event.type === 'queued') queuedAt ??= event.at;
    if (event.type !== 'attempt') continue;
    target = event.target;
    attempts++;
    queueMs += event.queuedMs;
    queuedAt = null;
  }
  if (queuedAt !== null) queueMs += now - queuedAt;
  return {
    outcome: 'running',
    lastEvent: events.at(-1)?.type ?? 'received',
    status: null,
    code: null,
    target,
    attempts,
    fallback: null,
    cache: null,
    queueMs: tenths(queueMs),
    durationMs: tenths(now - received.at),
    firstContentMs: null,
    usage: null,
    costUsd: null,
  };
}

function timelineOf(trace: Trace, clock: Clock): Timeline {
  const { received, events, finished } = trace;
  let upstreamMs = 0;
  let backoffMs = 0;
  for (const event of events) {
    if (event.type === 'attempt_end') upstreamMs += event.durationMs;
    if (event.type === 'backoff') backoffMs += event.delayMs;
  }
  const isRejected = events[0]?.type === 'rejected';
  const listed = isRejected ? events : finished === null ? [received, ...events] : [received, ...events, finished];
  return {
    ...summaryOf(trace, clock),
    deadlineMs: tenths(received.deadlineMs),
    bodyBytes: received.bodyBytes,
    inputTokens: received.inputTokens,
    outputBound: received.outputBound,
    upstreamMs: tenths(upstreamMs),
    backoffMs: tenths(backoffMs),
    entries: listed.map((event) => entryOf(event, trace)),
    skippedEntries: trace.skippedEvents,
    story: explain({ ...trace, nowMs: tenths(clock.now() - received.at) }),
  };
}
