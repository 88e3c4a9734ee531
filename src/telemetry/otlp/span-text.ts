/**
 * The spans of finished requests as OTLP/JSON, from their events: one span for each request, and a CLIENT span for each attempt below it. The
 * queue, retries, hedges and fallbacks are `breakwater.*` attributes and span events.
 *
 * The text is written directly, and most of it is the same from request to request: what two spans of a target have in common is cached. Spans as
 * objects, their attributes as pairs and JSON of all that cost six times as much, as measured with `npm run bench -- --only traced`.
 */
import type { AttemptEndEvent, AttemptEvent, CommittedEvent, FinishedEvent, ReceivedEvent, RejectedEvent } from '../../core/events.ts';
import type { TraceIds } from '../../core/request-trace.ts';
import { blockerText } from '../log-lines.ts';
import { createMemory, joined } from '../last-text.ts';
import type { RequestScopedEvent, Trace } from '../traces.ts';
import { AttributeText, nextNumber, nextText, quoted } from './attribute-text.ts';
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

/** Returns the spans of a finished request, separated by commas; empty: it has no trace context. */
export function createSpanWriter(provider: FindProvider): (trace: Trace) => string {
  const times = new SpanTimes();
  const requestMiddle = createMemory(({ finished }: FinishedTrace) => finished.target, isSameRequest, requestConstants);
  const attemptMiddle = createMemory(({ begun }: AttemptFacts) => begun.target, isSameAttempt, attemptConstants);

  return (trace) => {
    const { received, finished } = trace;
    const ids = received.trace;
    if (ids === undefined || finished === null) return '';
    times.begin(trace);
    const [first] = trace.events;
    if (first?.type === 'rejected') return rejectedSpan(first, ids, times);
    let text = requestSpan(trace as FinishedTrace, ids, times, requestMiddle);
    if (finished.attempts === 0) return text;
    const committed = trace.events.findLast((event) => event.type === 'committed')?.attempt ?? null;
    const begun: AttemptEvent[] = [];
    for (const event of trace.events) {
      if (event.type === 'attempt') begun.push(event);
      if (event.type !== 'attempt_end') continue;
      const start = begun.find(({ attempt }) => attempt === event.attempt);
      if (start?.spanId === undefined) continue;
      const isRetry = begun.some(({ attempt, target }) => target === event.target && attempt < event.attempt);
      const facts = { received, begun: start, ended: event, isRetry, isCommitted: committed === event.attempt };
      text += `,${attemptSpan({ ...facts, provider: provider(start.provider) }, ids, times, attemptMiddle)}`;
    }
    return text;
  };
}

type FinishedTrace = Trace & { readonly finished: FinishedEvent };

function requestSpan(trace: FinishedTrace, ids: TraceIds, times: SpanTimes, middleOf: (trace: FinishedTrace) => string): string {
  const { received, finished } = trace;
  const { costUsd, wasted, queueMs, firstContentMs } = finished;
  return (
    headOf(ids.traceId, ids.spanId, ids.parentId, ids.isRemote ? REMOTE_PARENT : LOCAL_PARENT) +
    times.from(received.at, finished.at) +
    middleOf(trace) +
    nextNumber('firstChunk', seconds(firstContentMs)) +
    nextText('requestId', received.requestId) +
    nextText('error', finished.message ?? null) +
    nextNumber('queueMs', queueMs) +
    nextNumber('costUsd', costUsd) +
    nextNumber('wastedUsd', wasted?.costUsd) +
    nextNumber('skippedEvents', trace.skippedEvents || null) +
    endOf(requestStatus(finished)) +
    eventsOf(trace, times)
  );
}

/** The span of a request that was rejected before it reached a route: an instant. */
function rejectedSpan(event: RejectedEvent, ids: TraceIds, times: SpanTimes): string {
  const { requestId, at, method, model, status, code, client } = event;
  const operation = event.operation === 'bytes' ? null : OPERATION_NAMES[event.operation];
  const name = operation === null ? method || 'HTTP' : `${operation}${model === null ? '' : ` ${model}`}`;
  const attributes = new AttributeText()
    .put('operation', operation)
    .putText('model', model)
    .putText('method', method || null)
    .putText('path', event.path || null)
    .put('status', status)
    .putText('errorType', code)
    .putText('error', event.message)
    .putText('requestId', requestId)
    .put('protocol', event.protocol)
    .putText('client', client)
    .put('outcome', 'refused')
    .put('attempts', 0);
  const head = headOf(ids.traceId, ids.spanId, ids.parentId, ids.isRemote ? REMOTE_PARENT : LOCAL_PARENT);
  return `${head}${times.from(at, at)}${middleText(name, SERVER, attributes)}${endOf(status >= 500 ? code : null)}}`;
}

/** Spans of these requests differ in ids, times, costs, status and events only. */
function isSameRequest({ received: a, finished: x }: FinishedTrace, { received: b, finished: y }: FinishedTrace): boolean {
  return (
    a.model === b.model &&
    a.operation === b.operation &&
    a.stream === b.stream &&
    a.outputBound === b.outputBound &&
    a.protocol === b.protocol &&
    a.client === b.client &&
    a.priority === b.priority &&
    isOwn(a) === isOwn(b) &&
    x.status === y.status &&
    x.code === y.code &&
    x.outcome === y.outcome &&
    x.target === y.target &&
    x.attempts === y.attempts &&
    x.fallback === y.fallback &&
    x.cache === y.cache
  );
}

function requestConstants({ received, finished }: FinishedTrace): string {
  const operation = OPERATION_NAMES[received.operation];
  const attributes = new AttributeText()
    .put('operation', operation)
    .putText('model', received.model)
    .put('stream', received.stream)
    .put('maxTokens', received.outputBound)
    .put('status', finished.status)
    .putText('errorType', finished.code)
    .put('protocol', received.protocol)
    .putText('client', received.client)
    .put('priority', received.priority)
    .put('outcome', finished.outcome)
    .putText('target', finished.target)
    .put('attempts', finished.attempts)
    .put('fallback', finished.fallback)
    .put('cache', finished.cache);
  return middleText(`${operation} ${received.model}`, isOwn(received) ? INTERNAL : SERVER, attributes);
}

/** Not received from a caller: an item of a batch, or a question to a judge. */
function isOwn({ priority, trace }: ReceivedEvent): boolean {
  return priority === 'job' || (trace !== undefined && trace.parentId !== null && !trace.isRemote);
}

/** As for HTTP servers: an error of the caller is not one of the span. */
function requestStatus({ outcome, status, code }: FinishedEvent): string | null {
  const isFailed = outcome === 'interrupted' || (status >= 500 && outcome !== 'cancelled');
  return isFailed ? (code ?? outcome) : null;
}

interface AttemptFacts {
  readonly received: ReceivedEvent;
  readonly begun: AttemptEvent;
  readonly ended: AttemptEndEvent;
  readonly isRetry: boolean;
  readonly isCommitted: boolean;
  readonly provider: ProviderFacts;
}

function attemptSpan(facts: AttemptFacts, ids: TraceIds, times: SpanTimes, middleOf: (facts: AttemptFacts) => string): string {
  const { begun, ended } = facts;
  const { usage } = ended;
  return (
    headOf(ids.traceId, begun.spanId!, ids.spanId, LOCAL_PARENT) +
    times.from(ended.at - ended.durationMs, ended.at) +
    middleOf(facts) +
    nextNumber('firstChunk', seconds(ended.firstContentMs)) +
    nextNumber('inputTokens', usage?.inputTokens) +
    nextNumber('outputTokens', usage?.outputTokens) +
    nextNumber('cacheReadTokens', usage?.cachedInputTokens) +
    nextNumber('cacheWriteTokens', usage?.cacheWriteTokens) +
    nextNumber('reasoningTokens', usage?.reasoningTokens) +
    nextNumber('credential', begun.credential) +
    nextNumber('queueMs', begun.queuedMs) +
    nextText('upstreamRequestId', ended.upstreamRequestId) +
    nextNumber('costUsd', ended.costUsd) +
    endOf(hasFailed(ended) ? (ended.message ?? ended.reason ?? ended.verdict) : null) +
    '}'
  );
}

function hasFailed({ verdict }: AttemptEndEvent): boolean {
  return verdict !== 'success' && verdict !== 'cancelled';
}

/** Spans of these attempts differ in ids, times, usage, credential and status only. */
function isSameAttempt(a: AttemptFacts, b: AttemptFacts): boolean {
  const [x, y] = [a.ended, b.ended];
  return (
    a.begun.target === b.begun.target &&
    a.provider === b.provider &&
    a.received.operation === b.received.operation &&
    a.received.stream === b.received.stream &&
    a.begun.attempt === b.begun.attempt &&
    a.isRetry === b.isRetry &&
    a.isCommitted === b.isCommitted &&
    a.begun.race === b.begun.race &&
    a.begun.probe === b.begun.probe &&
    x.status === y.status &&
    x.verdict === y.verdict &&
    x.reason === y.reason &&
    x.failure === y.failure &&
    x.phase === y.phase &&
    x.quality === y.quality
  );
}

function attemptConstants({ received, begun, ended, isRetry, isCommitted, provider }: AttemptFacts): string {
  const { kind, address, port } = provider;
  const operation = OPERATION_NAMES[received.operation];
  const model = begun.target.slice(begun.provider.length + 1);
  const attributes = new AttributeText()
    .put('operation', operation)
    .putText('provider', PROVIDER_NAMES[kind] ?? kind)
    .putText('model', model)
    .put('stream', received.stream)
    .putText('serverAddress', address)
    .put('serverPort', port)
    .put('status', ended.status)
    .putText('errorType', errorTypeOf(ended))
    .put('attempt', begun.attempt)
    .putText('target', begun.target)
    .put('isRetry', isRetry || null)
    .put('race', begun.race)
    .put('isProbe', begun.probe || null)
    .put('isCommitted', isCommitted || null)
    .put('verdict', ended.verdict)
    .put('reason', ended.reason)
    .put('failure', ended.failure)
    .put('phase', ended.phase)
    .put('quality', ended.quality);
  return middleText(`${operation} ${model}`, CLIENT, attributes);
}

function errorTypeOf(ended: AttemptEndEvent): string | null {
  if (!hasFailed(ended)) return null;
  return ended.failure === 'status' ? String(ended.status) : (ended.failure ?? ended.reason);
}

function headOf(traceId: string, spanId: string, parentId: string | null, flags: number): string {
  const parent = parentId === null ? '' : `","parentSpanId":"${parentId}`;
  return `{"traceId":"${traceId}","spanId":"${spanId}${parent}","flags":${flags}`;
}

/** Name, kind and the first attributes; more may follow. */
function middleText(name: string, kind: number, attributes: AttributeText): string {
  return joined(',"name":', quoted(name), ',"kind":', String(kind), ',"attributes":[', attributes.text);
}

/** The end of the attributes. `error`: the message of a failed span; null: the status is unset. */
function endOf(error: string | null): string {
  return error === null ? '],"status":{}' : `],"status":{"code":${ERROR},"message":${quoted(error)}}`;
}

/** Waits, notes and the start of the response, and the end of the span. Attempts are spans. */
function eventsOf(trace: Trace, times: SpanTimes): string {
  let text = '';
  for (const event of trace.events) {
    const found = spanEvent(event);
    if (found === null) continue;
    text += `${text === '' ? ',"events":[' : ','}{"timeUnixNano":${times.at(event.at)},${found}}`;
  }
  return text === '' ? '}' : `${text}]}`;
}

/** Name and attributes; null: not an event of the span. */
function spanEvent(event: RequestScopedEvent): string | null {
  switch (event.type) {
    case 'queued':
      return eventText(NAMES.queuedEvent, new AttributeText().putText('blockers', event.blockers.map(blockerText).join('; ')));
    case 'backoff':
      return eventText(NAMES.backoffEvent, new AttributeText().put('delayMs', event.delayMs).put('reason', event.reason));
    case 'committed':
      return committedText(event);
    case 'note':
      return eventText(NAMES.noteEvent, new AttributeText().putText('note', event.note).putText('target', event.target));
    default:
      return null;
  }
}

const committedText = createMemory(
  ({ target }: CommittedEvent) => target,
  (a, b) => a.attempt === b.attempt && a.target === b.target,
  ({ attempt, target }) => joined(eventText(NAMES.committedEvent, new AttributeText().put('attempt', attempt).putText('target', target))),
);

function eventText(name: string, attributes: AttributeText): string {
  return `"name":"${name}","attributes":[${attributes.text}]`;
}

const MICROS_PER_SECOND = 1_000_000;

/** Instants as strings, like all 64-bit integers of the format; precise to the microsecond. The text of the last second is cached. */
class SpanTimes {
  /** The wall clock, in milliseconds since the epoch, at the instant 0. */
  #zeroMs = 0;
  #second = -1;
  #text = '';

  /** Further instants belong to this request. */
  begin({ startedEpochMs, received }: Trace): void {
    this.#zeroMs = startedEpochMs - received.at;
  }

  at(instant: number): string {
    const micros = Math.round((this.#zeroMs + instant) * 1_000);
    const second = Math.floor(micros / MICROS_PER_SECOND);
    if (second !== this.#second) [this.#second, this.#text] = [second, `"${second}`];
    return `${this.#text}${String(micros - second * MICROS_PER_SECOND).padStart(6, '0')}000"`;
  }

  from(start: number, end: number): string {
    return `,"startTimeUnixNano":${this.at(start)},"endTimeUnixNano":${this.at(end)}`;
  }
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1_000;
}
