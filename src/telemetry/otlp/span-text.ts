/**
 * The spans of finished requests as OTLP/JSON, from their events: one span for each request, and a CLIENT span for each attempt below it. The
 * queue, retries, hedges and fallbacks are `breakwater.*` attributes and span events. The text is written directly: spans as objects, their
 * attributes as pairs and JSON of all that cost three times as much, as measured with `npm run bench -- --only traced`.
 */
import type { AttemptEndEvent, AttemptEvent, FinishedEvent } from '../../core/events.ts';
import type { TraceIds } from '../../core/request-trace.ts';
import { blockerText } from '../log-lines.ts';
import type { RequestScopedEvent, Trace } from '../traces.ts';
import { AttributeText, quoted } from './attribute-text.ts';
import { NAMES, OPERATION_NAMES, PROVIDER_NAMES } from './names.ts';

/** Values of the protocol's enumerations. */
const INTERNAL = 1;
const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;
/** Flags of a sampled span that says whether its parent is remote, and of one whose parent is. */
const LOCAL_PARENT = 0x101;
const REMOTE_PARENT = 0x301;

/** A configured provider. */
export interface ProviderFacts {
  /** The preset, or the configured name without one. */
  readonly kind: string;
  /** Host and port of its address; null: it runs in this process. */
  readonly address: string | null;
  readonly port: number | null;
}

export type FindProvider = (name: string) => ProviderFacts;

/** The number of spans of a request. */
export function spanCount({ finished }: Trace): number {
  return 1 + (finished?.attempts ?? 0);
}

/** The spans of a finished request, separated by commas; empty: it has no trace context. */
export function spansText(trace: Trace, provider: FindProvider): string {
  const { received, finished } = trace;
  const ids = received.trace;
  if (ids === undefined || finished === null) return '';
  let text = requestSpan(trace, ids, finished);
  const begun: AttemptEvent[] = [];
  const committed = trace.events.findLast((event) => event.type === 'committed')?.attempt ?? null;
  for (const event of trace.events) {
    if (event.type === 'attempt') begun.push(event);
    if (event.type !== 'attempt_end') continue;
    const start = begun.find(({ attempt }) => attempt === event.attempt);
    if (start?.spanId === undefined) continue;
    const isRetry = begun.some(({ attempt, target }) => target === event.target && attempt < event.attempt);
    text += `,${attemptSpan(trace, ids, start, event, isRetry, committed === event.attempt, provider(start.provider))}`;
  }
  return text;
}

function requestSpan(trace: Trace, ids: TraceIds, finished: FinishedEvent): string {
  const { received } = trace;
  const operation = OPERATION_NAMES[received.operation];
  const attributes = new AttributeText()
    .put('operation', operation)
    .putText('model', received.model)
    .put('stream', received.stream)
    .put('maxTokens', received.outputBound)
    .put('firstChunk', seconds(finished.firstContentMs))
    .put('status', finished.status)
    .putText('errorType', finished.code)
    .putText('requestId', received.requestId)
    .put('protocol', received.protocol)
    .putText('client', received.client)
    .put('priority', received.priority)
    .put('outcome', finished.outcome)
    .putText('target', finished.target)
    .put('attempts', finished.attempts)
    .put('fallback', finished.fallback)
    .put('cache', finished.cache)
    .put('queueMs', finished.queueMs)
    .put('costUsd', finished.costUsd)
    .put('wastedUsd', finished.wasted?.costUsd)
    .put('skippedEvents', trace.skippedEvents || null);
  const isOwn = received.priority === 'job' || (ids.parentId !== null && !ids.isRemote);
  const head = headOf(ids.traceId, ids.spanId, ids.parentId, ids.isRemote ? REMOTE_PARENT : LOCAL_PARENT);
  const times = timesOf(trace, received.at, finished.at);
  const body = bodyOf(`${operation} ${received.model}`, isOwn ? INTERNAL : SERVER, attributes, requestStatus(finished));
  return `${head}${times}${body}${eventsOf(trace)}}`;
}

/** As for HTTP servers: an error of the caller is not one of the span. */
function requestStatus({ outcome, status, code }: FinishedEvent): string | null {
  const isFailed = outcome === 'interrupted' || (status >= 500 && outcome !== 'cancelled');
  return isFailed ? (code ?? outcome) : null;
}

function attemptSpan(
  trace: Trace,
  { traceId, spanId }: TraceIds,
  begun: AttemptEvent,
  ended: AttemptEndEvent,
  isRetry: boolean,
  isCommitted: boolean,
  { kind, address, port }: ProviderFacts,
): string {
  const operation = OPERATION_NAMES[trace.received.operation];
  const model = begun.target.slice(begun.provider.length + 1);
  const isFailed = ended.verdict !== 'success' && ended.verdict !== 'cancelled';
  const { usage } = ended;
  const attributes = new AttributeText()
    .put('operation', operation)
    .putText('provider', PROVIDER_NAMES[kind] ?? kind)
    .putText('model', model)
    .put('stream', trace.received.stream)
    .put('firstChunk', seconds(ended.firstContentMs))
    .put('inputTokens', usage?.inputTokens)
    .put('outputTokens', usage?.outputTokens)
    .put('cacheReadTokens', usage?.cachedInputTokens)
    .put('cacheWriteTokens', usage?.cacheWriteTokens)
    .put('reasoningTokens', usage?.reasoningTokens)
    .putText('serverAddress', address)
    .put('serverPort', port)
    .put('status', ended.status)
    .putText('errorType', isFailed ? (ended.failure === 'status' ? String(ended.status) : (ended.failure ?? ended.reason)) : null)
    .put('attempt', begun.attempt)
    .putText('target', begun.target)
    .put('credential', begun.credential)
    .put('queueMs', begun.queuedMs)
    .put('isRetry', isRetry || null)
    .put('race', begun.race)
    .put('isProbe', begun.probe || null)
    .put('isCommitted', isCommitted || null)
    .put('verdict', ended.verdict)
    .put('reason', ended.reason)
    .put('failure', ended.failure)
    .put('phase', ended.phase)
    .put('quality', ended.quality)
    .putText('upstreamRequestId', ended.upstreamRequestId)
    .put('costUsd', ended.costUsd);
  const head = headOf(traceId, begun.spanId!, spanId, LOCAL_PARENT);
  const status = isFailed ? (ended.message ?? ended.reason ?? ended.verdict) : null;
  return `${head}${timesOf(trace, ended.at - ended.durationMs, ended.at)}${bodyOf(`${operation} ${model}`, CLIENT, attributes, status)}}`;
}

function headOf(traceId: string, spanId: string, parentId: string | null, flags: number): string {
  const parent = parentId === null ? '' : `,"parentSpanId":"${parentId}"`;
  return `{"traceId":"${traceId}","spanId":"${spanId}"${parent},"flags":${flags}`;
}

/** `error`: the message of a failed span; null: the status is unset. */
function bodyOf(name: string, kind: number, attributes: AttributeText, error: string | null): string {
  const status = error === null ? '{}' : `{"code":${ERROR},"message":${quoted(error)}}`;
  return `,"name":${quoted(name)},"kind":${kind},"attributes":${attributes.text},"status":${status}`;
}

/** Waits, notes and the start of the response. Attempts are spans. */
function eventsOf(trace: Trace): string {
  let text = '';
  for (const event of trace.events) {
    const [name, attributes] = spanEvent(event) ?? [];
    if (attributes === undefined) continue;
    text += `${text === '' ? '' : ','}{"name":"${name}","timeUnixNano":${nanos(trace, event.at)},"attributes":${attributes.text}}`;
  }
  return text === '' ? '' : `,"events":[${text}]`;
}

function spanEvent(event: RequestScopedEvent): [name: string, AttributeText] | null {
  const attributes = new AttributeText();
  switch (event.type) {
    case 'queued':
      return [NAMES.queuedEvent, attributes.putText('blockers', event.blockers.map(blockerText).join('; '))];
    case 'backoff':
      return [NAMES.backoffEvent, attributes.put('delayMs', event.delayMs).put('reason', event.reason)];
    case 'committed':
      return [NAMES.committedEvent, attributes.put('attempt', event.attempt).putText('target', event.target)];
    case 'note':
      return [NAMES.noteEvent, attributes.putText('note', event.note).putText('target', event.target)];
    default:
      return null;
  }
}

function timesOf(trace: Trace, from: number, to: number): string {
  return `,"startTimeUnixNano":${nanos(trace, from)},"endTimeUnixNano":${nanos(trace, to)}`;
}

/** As a string, like all 64-bit integers of the format; precise to the microsecond. */
function nanos({ received, startedEpochMs }: Trace, at: number): string {
  return `"${Math.round((startedEpochMs + at - received.at) * 1_000)}000"`;
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1_000;
}
