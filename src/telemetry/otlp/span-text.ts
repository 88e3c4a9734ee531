/**
 * The spans of finished requests as OTLP/JSON, from their events: one span for each request, and a CLIENT span for each attempt below it. The
 * queue, retries, hedges and fallbacks are `breakwater.*` attributes and span events.
 *
 * The bytes are written directly, and most of them are the same from request to request: what two spans of a target have in common is cached. Spans as
 * objects, their attributes as pairs and JSON of all that cost six times as much, as measured with `npm run bench -- --only traced`.
 */
import type { AttemptEndEvent, AttemptEvent, CommittedEvent, FinishedEvent, ReceivedEvent, RejectedEvent } from '../../core/events.ts';
import type { TraceIds } from '../../core/request-trace.ts';
import { blockerText } from '../log-lines.ts';
import { createMemory } from '../last-text.ts';
import type { RequestScopedEvent, Trace } from '../traces.ts';
import { AttributeText, quoted } from './attribute-text.ts';
import type { ByteText } from './byte-text.ts';
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

/** Writes the spans of a finished request that has a trace context, separated by commas. */
export function createSpanWriter(provider: FindProvider): (out: ByteText, trace: Trace) => void {
  const times = new SpanTimes();
  const requestMiddle = createMemory(({ finished }: FinishedTrace) => finished.target, isSameRequest, requestConstants);
  const attemptMiddle = createMemory(({ begun }: AttemptFacts) => begun.target, isSameAttempt, attemptConstants);

  return (out, trace) => {
    const { received, finished } = trace as FinishedTrace;
    const ids = received.trace!;
    times.begin(trace);
    const [first] = trace.events;
    if (first?.type === 'rejected') return rejectedSpan(out, first, ids, times);
    requestSpan(out, trace as FinishedTrace, ids, times, requestMiddle(trace as FinishedTrace));
    if (finished.attempts === 0) return;
    const committed = trace.events.findLast((event) => event.type === 'committed')?.attempt ?? null;
    const begun: AttemptEvent[] = [];
    for (const event of trace.events) {
      if (event.type === 'attempt') begun.push(event);
      if (event.type !== 'attempt_end') continue;
      const start = begun.find(({ attempt }) => attempt === event.attempt);
      if (start?.spanId === undefined) continue;
      const isRetry = begun.some(({ attempt, target }) => target === event.target && attempt < event.attempt);
      const isCommitted = committed === event.attempt;
      const facts = { received, begun: start, ended: event, isRetry, isCommitted, provider: provider(start.provider) };
      out.constant(COMMA);
      attemptSpan(out, facts, ids, times, attemptMiddle(facts));
    }
  };
}

type FinishedTrace = Trace & { readonly finished: FinishedEvent };

function requestSpan(out: ByteText, trace: FinishedTrace, ids: TraceIds, times: SpanTimes, constants: Buffer): void {
  const { received, finished } = trace;
  const { costUsd, wasted, queueMs, firstContentMs } = finished;
  writeHead(out, ids.traceId, ids.spanId, ids.parentId, ids.isRemote ? REMOTE_PARENT : LOCAL_PARENT);
  times.write(out, received.at, finished.at);
  out
    .constant(constants)
    .number('firstChunk', seconds(firstContentMs))
    .text('requestId', received.requestId)
    .text('error', finished.message ?? null)
    .number('queueMs', queueMs)
    .number('costUsd', costUsd)
    .number('estimatedUsd', finished.estimatedUsd)
    .number('wastedUsd', wasted?.costUsd)
    .number('skippedEvents', trace.skippedEvents || null);
  writeStatus(out, requestStatus(finished));
  writeEvents(out, trace, times);
}

/** The span of a request that was rejected before a target was chosen: an instant. */
function rejectedSpan(out: ByteText, event: RejectedEvent, ids: TraceIds, times: SpanTimes): void {
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
  writeHead(out, ids.traceId, ids.spanId, ids.parentId, ids.isRemote ? REMOTE_PARENT : LOCAL_PARENT);
  times.write(out, at, at);
  out.constant(middleOf(name, SERVER, attributes));
  writeStatus(out, status >= 500 ? code : null);
  out.constant(SPAN_END);
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

function requestConstants({ received, finished }: FinishedTrace): Buffer {
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
  return middleOf(`${operation} ${received.model}`, isOwn(received) ? INTERNAL : SERVER, attributes);
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

function attemptSpan(out: ByteText, { begun, ended }: AttemptFacts, ids: TraceIds, times: SpanTimes, constants: Buffer): void {
  const { usage } = ended;
  writeHead(out, ids.traceId, begun.spanId!, ids.spanId, LOCAL_PARENT);
  times.write(out, ended.at - ended.durationMs, ended.at);
  out
    .constant(constants)
    .number('firstChunk', seconds(ended.firstContentMs))
    .number('inputTokens', usage?.inputTokens)
    .number('outputTokens', usage?.outputTokens)
    .number('cacheReadTokens', usage?.cachedInputTokens)
    .number('cacheWriteTokens', usage?.cacheWriteTokens)
    .number('reasoningTokens', usage?.reasoningTokens)
    .number('credential', begun.credential)
    .number('queueMs', begun.queuedMs)
    .text('upstreamRequestId', ended.upstreamRequestId)
    .number('costUsd', ended.costUsd)
    .number('estimatedUsd', ended.estimatedUsd);
  writeStatus(out, hasFailed(ended) ? (ended.message ?? ended.reason ?? ended.verdict) : null);
  out.constant(SPAN_END);
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

function attemptConstants({ received, begun, ended, isRetry, isCommitted, provider }: AttemptFacts): Buffer {
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
  return middleOf(`${operation} ${model}`, CLIENT, attributes);
}

function errorTypeOf(ended: AttemptEndEvent): string | null {
  if (!hasFailed(ended)) return null;
  return ended.failure === 'status' ? String(ended.status) : (ended.failure ?? ended.reason);
}

const COMMA = Buffer.from(',');
const TRACE_ID = Buffer.from('{"traceId":"');
const SPAN_ID = Buffer.from('","spanId":"');
const PARENT_ID = Buffer.from('","parentSpanId":"');
const FLAGS = Buffer.from('","flags":');
const STATUS_UNSET = Buffer.from('],"status":{}');
const STATUS_ERROR = Buffer.from(`],"status":{"code":${ERROR},"message":`);
const SPAN_END = Buffer.from('}');
const EVENTS = Buffer.from(',"events":[{"timeUnixNano":');
const NEXT_EVENT = Buffer.from('},{"timeUnixNano":');
const EVENTS_END = Buffer.from('}]}');

function writeHead(out: ByteText, traceId: string, spanId: string, parentId: string | null, flags: number): void {
  out.constant(TRACE_ID).ascii(traceId).constant(SPAN_ID).ascii(spanId);
  if (parentId !== null) out.constant(PARENT_ID).ascii(parentId);
  out.constant(FLAGS).ascii(String(flags));
}

/** Name, kind and the first attributes; more may follow. */
function middleOf(name: string, kind: number, attributes: AttributeText): Buffer {
  return Buffer.from(`,"name":${quoted(name)},"kind":${kind},"attributes":[${attributes.text}`);
}

/** The end of the attributes. `error`: the message of a failed span; null: the status is unset. */
function writeStatus(out: ByteText, error: string | null): void {
  if (error === null) out.constant(STATUS_UNSET);
  else out.constant(STATUS_ERROR).quoted(error).constant(SPAN_END);
}

/** Waits, notes and the start of the response, and the end of the span. Attempts are spans. */
function writeEvents(out: ByteText, trace: Trace, times: SpanTimes): void {
  let isFirst = true;
  for (const event of trace.events) {
    const found = spanEvent(event);
    if (found === null) continue;
    out.constant(isFirst ? EVENTS : NEXT_EVENT);
    times.writeInstant(out, event.at);
    out.constant(found);
    isFirst = false;
  }
  out.constant(isFirst ? SPAN_END : EVENTS_END);
}

/** Name and attributes; null: not an event of the span. */
function spanEvent(event: RequestScopedEvent): Buffer | null {
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
  ({ attempt, target }) => eventText(NAMES.committedEvent, new AttributeText().put('attempt', attempt).putText('target', target)),
);

function eventText(name: string, attributes: AttributeText): Buffer {
  return Buffer.from(`,"name":"${name}","attributes":[${attributes.text}]`);
}

const MICROS_PER_SECOND = 1_000_000;
const START_TIME = Buffer.from(',"startTimeUnixNano":');
const END_TIME = Buffer.from(',"endTimeUnixNano":');
const NANOS_END = Buffer.from('000"');

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

  writeInstant(out: ByteText, instant: number): void {
    const micros = Math.round((this.#zeroMs + instant) * 1_000);
    const second = Math.floor(micros / MICROS_PER_SECOND);
    if (second !== this.#second) [this.#second, this.#text] = [second, `"${second}`];
    out
      .ascii(this.#text)
      .digits(micros - second * MICROS_PER_SECOND, 6)
      .constant(NANOS_END);
  }

  write(out: ByteText, start: number, end: number): void {
    out.constant(START_TIME);
    this.writeInstant(out, start);
    out.constant(END_TIME);
    this.writeInstant(out, end);
  }
}

/** To the microsecond, as instants. */
function seconds(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1_000) / MICROS_PER_SECOND;
}
