/**
 * The spans of a finished request, from its events: one for the request, and a CLIENT span for each attempt below it. Pure. The queue, retries,
 * hedges and fallbacks are `breakwater.*` attributes and span events.
 */
import type { Attributes, SpanContext, SpanStatus } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { AttemptEndEvent, AttemptEvent, FinishedEvent } from '../../core/events.ts';
import type { TraceIds } from '../../core/request-trace.ts';
import { blockerText } from '../log-lines.ts';
import type { RequestScopedEvent, Trace } from '../traces.ts';
import { NAMES, OPERATION_NAMES, PROVIDER_NAMES } from './names.ts';

/** The values of the API's enumerations, which are not loaded for these spans. */
const INTERNAL = 0;
const SERVER = 1;
const CLIENT = 2;
const UNSET: SpanStatus = { code: 0 };
const ERROR = 2;

/** A configured provider. */
export interface ProviderFacts {
  /** The preset, or the configured name without one. */
  readonly kind: string;
  /** Host and port of its address; null: it runs in this process. */
  readonly address: string | null;
  readonly port: number | null;
}

export interface SpanContextOfProcess {
  readonly resource: Resource;
  readonly scope: InstrumentationScope;
  provider(name: string): ProviderFacts;
}

/** The number of spans of a request. */
export function spanCount({ finished }: Trace): number {
  return 1 + (finished?.attempts ?? 0);
}

/** `trace` belongs to a finished request. */
export function spansOf(trace: Trace, process: SpanContextOfProcess): ReadableSpan[] {
  const { received, finished } = trace;
  const ids = received.trace;
  if (ids === undefined || finished === null) return [];
  const requestContext = contextOf(ids, ids.spanId, false);
  const spans = [requestSpan(trace, ids, requestContext, finished, process)];
  const begun = new Map<number, AttemptEvent>();
  const committed = trace.events.findLast((event) => event.type === 'committed')?.attempt ?? null;
  for (const event of trace.events) {
    if (event.type === 'attempt') begun.set(event.attempt, event);
    if (event.type !== 'attempt_end') continue;
    const start = begun.get(event.attempt);
    if (start?.spanId === undefined) continue;
    const isRetry = Array.from(begun.values()).some(({ attempt, target }) => target === event.target && attempt < event.attempt);
    const more = { isRetry, isCommitted: committed === event.attempt };
    spans.push(attemptSpan(trace, contextOf(ids, start.spanId, false), requestContext, start, event, more, process));
  }
  return spans;
}

function requestSpan(
  trace: Trace,
  ids: TraceIds,
  context: SpanContext,
  finished: FinishedEvent,
  process: SpanContextOfProcess,
): ReadableSpan {
  const { received } = trace;
  const operation = OPERATION_NAMES[received.operation];
  const attributes: Attributes = {
    [NAMES.operation]: operation,
    [NAMES.model]: received.model,
    [NAMES.stream]: received.stream,
    [NAMES.requestId]: received.requestId,
    [NAMES.protocol]: received.protocol,
    [NAMES.client]: received.client,
    [NAMES.priority]: received.priority,
    [NAMES.status]: finished.status,
    [NAMES.outcome]: finished.outcome,
    [NAMES.attempts]: finished.attempts,
    [NAMES.queueMs]: finished.queueMs,
  };
  put(attributes, NAMES.maxTokens, received.outputBound);
  put(attributes, NAMES.firstChunk, seconds(finished.firstContentMs));
  put(attributes, NAMES.code, finished.code);
  put(attributes, NAMES.errorType, finished.code);
  put(attributes, NAMES.target, finished.target);
  put(attributes, NAMES.fallback, finished.fallback);
  put(attributes, NAMES.cache, finished.cache);
  put(attributes, NAMES.costUsd, finished.costUsd);
  put(attributes, NAMES.wastedUsd, finished.wasted?.costUsd ?? null);
  put(attributes, NAMES.skippedEvents, trace.skippedEvents === 0 ? null : trace.skippedEvents);
  const isOwn = received.priority === 'job' || (ids.parentId !== null && !ids.isRemote);
  return {
    ...common(process),
    name: `${operation} ${received.model}`,
    kind: isOwn ? INTERNAL : SERVER,
    spanContext: () => context,
    ...(ids.parentId !== null && { parentSpanContext: contextOf(ids, ids.parentId, ids.isRemote) }),
    ...times(trace, received.at, finished.at),
    status: requestStatus(finished),
    attributes,
    events: trace.events.flatMap((event) => spanEvent(event, trace) ?? []),
  };
}

/** As for HTTP servers: an error of the caller is not one of the span. */
function requestStatus({ outcome, status, code }: FinishedEvent): SpanStatus {
  const isFailed = outcome === 'interrupted' || (status >= 500 && outcome !== 'cancelled');
  return isFailed ? { code: ERROR, message: code ?? outcome } : UNSET;
}

function attemptSpan(
  trace: Trace,
  context: SpanContext,
  parent: SpanContext,
  begun: AttemptEvent,
  ended: AttemptEndEvent,
  { isRetry, isCommitted }: { readonly isRetry: boolean; readonly isCommitted: boolean },
  process: SpanContextOfProcess,
): ReadableSpan {
  const { kind, address, port } = process.provider(begun.provider);
  const operation = OPERATION_NAMES[trace.received.operation];
  const model = begun.target.slice(begun.provider.length + 1);
  const attributes: Attributes = {
    [NAMES.operation]: operation,
    [NAMES.provider]: PROVIDER_NAMES[kind] ?? kind,
    [NAMES.model]: model,
    [NAMES.stream]: trace.received.stream,
    [NAMES.attempt]: begun.attempt,
    [NAMES.target]: begun.target,
    [NAMES.credential]: begun.credential,
    [NAMES.queueMs]: begun.queuedMs,
    [NAMES.verdict]: ended.verdict,
  };
  put(attributes, NAMES.serverAddress, address);
  put(attributes, NAMES.serverPort, port);
  put(attributes, NAMES.isRetry, isRetry || null);
  put(attributes, NAMES.race, begun.race);
  put(attributes, NAMES.isProbe, begun.probe || null);
  put(attributes, NAMES.isCommitted, isCommitted || null);
  put(attributes, NAMES.firstChunk, seconds(ended.firstContentMs));
  put(attributes, NAMES.status, ended.status);
  put(attributes, NAMES.reason, ended.reason);
  put(attributes, NAMES.failure, ended.failure);
  put(attributes, NAMES.phase, ended.phase);
  put(attributes, NAMES.quality, ended.quality);
  put(attributes, NAMES.upstreamRequestId, ended.upstreamRequestId);
  put(attributes, NAMES.costUsd, ended.costUsd ?? null);
  const isFailed = ended.verdict !== 'success' && ended.verdict !== 'cancelled';
  if (isFailed) put(attributes, NAMES.errorType, ended.failure === 'status' ? String(ended.status) : (ended.failure ?? ended.reason));
  putUsage(attributes, ended);
  return {
    ...common(process),
    name: `${operation} ${model}`,
    kind: CLIENT,
    spanContext: () => context,
    parentSpanContext: parent,
    ...times(trace, ended.at - ended.durationMs, ended.at),
    status: isFailed ? { code: ERROR, message: ended.message ?? ended.reason ?? ended.verdict } : UNSET,
    attributes,
    events: [],
  };
}

function putUsage(attributes: Attributes, { usage }: AttemptEndEvent): void {
  if (usage === null) return;
  attributes[NAMES.inputTokens] = usage.inputTokens;
  attributes[NAMES.outputTokens] = usage.outputTokens;
  attributes[NAMES.cacheReadTokens] = usage.cachedInputTokens;
  put(attributes, NAMES.cacheWriteTokens, usage.cacheWriteTokens ?? null);
  put(attributes, NAMES.reasoningTokens, usage.reasoningTokens ?? null);
}

/** A wait, a note or the start of the response. Attempts are spans. */
function spanEvent(event: RequestScopedEvent, trace: Trace): ReadableSpan['events'][number] | null {
  const time = timeOf(trace, event.at);
  switch (event.type) {
    case 'queued':
      return { name: NAMES.queuedEvent, time, attributes: { [NAMES.blockers]: event.blockers.map(blockerText) } };
    case 'backoff':
      return { name: NAMES.backoffEvent, time, attributes: { [NAMES.delayMs]: event.delayMs, [NAMES.reason]: event.reason } };
    case 'committed':
      return { name: NAMES.committedEvent, time, attributes: { [NAMES.attempt]: event.attempt, [NAMES.target]: event.target } };
    case 'note': {
      const attributes: Attributes = { [NAMES.note]: event.note };
      put(attributes, NAMES.target, event.target ?? null);
      return { name: NAMES.noteEvent, time, attributes };
    }
    default:
      return null;
  }
}

function common({ resource, scope }: SpanContextOfProcess) {
  return {
    resource,
    instrumentationScope: scope,
    links: [],
    ended: true,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

function contextOf({ traceId }: TraceIds, spanId: string, isRemote: boolean): SpanContext {
  return { traceId, spanId, traceFlags: 1, isRemote };
}

function times(trace: Trace, from: number, to: number): Pick<ReadableSpan, 'startTime' | 'endTime' | 'duration'> {
  return { startTime: timeOf(trace, from), endTime: timeOf(trace, to), duration: toHrTime(to - from) };
}

function timeOf({ received, startedEpochMs }: Trace, at: number): [number, number] {
  return toHrTime(startedEpochMs + at - received.at);
}

/** Seconds and nanoseconds. */
function toHrTime(ms: number): [number, number] {
  const micros = Math.round(ms * 1_000);
  const whole = Math.floor(micros / 1e6);
  return [whole, (micros - whole * 1e6) * 1_000];
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1_000;
}

function put(attributes: Attributes, name: string, value: string | number | boolean | null): void {
  if (value !== null) attributes[name] = value;
}
