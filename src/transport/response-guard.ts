/**
 * Guards one response from the send to its end: which bytes may be passed on, when the first content arrives, when a phase times out,
 * and whether the response is complete. No bytes are passed on before they are known to be a response.
 */
import type { Clock, Instant } from '../core/clock.ts';
import type { ResponseFacts, Failure, FailureKind, Phase } from '../core/facts.ts';
import { firstValue, type HeadersByName } from '../core/headers.ts';
import type { ByteBudget } from '../core/held-bytes.ts';
import { createFailure, resetFailure } from '../wire/failure.ts';
import type { StreamFold, StreamPush, StreamReader } from '../wire/dialect.ts';
import { contentTypeFault, isAllBlank, errorFailure, isHollow, isJson, judgeWhole, pageFault, sniff } from './expected-form.ts';
import { hiddenFailure, mayBeJson, mayHideJson } from './hidden-json.ts';
import type { ExpectedForm } from './expected-form.ts';
import { MISSING, phaseLimit, type PhaseTimes } from './phase-limits.ts';
import { PhaseTimer, type PhaseLimit, type TimedPhase } from './phase-timer.ts';
import { connectFailure, OWN_EXHAUSTION } from './connection-fault.ts';
import { createContentDecoder, isIdentity } from './content-decoder.ts';
import type { ContentDecoder, DecoderListener } from './content-decoder.ts';
import type { GuardLimits, GuardListener } from './guard-listener.ts';
import { ResponseBuffer } from './response-buffer.ts';
import type { UpstreamListener } from './transport.ts';

/** Maximum size of an error body, in bytes; the rest is not read. */
const ERROR_BODY_MAX = 1024 * 1024;
/** Maximum size of a stream before its first content, in bytes. */
const PREAMBLE_MAX = 4 * 1024 * 1024;
/** Time for the upstream to close after the end of a stream, so that its connection can be reused, in ms; then it is aborted. */
const LINGER_MS = 1000;
/** A reused connection that breaks within this time had been closed before the request arrived, in ms. */
const STALE_WITHIN_MS = 500;

export class ResponseGuard implements UpstreamListener, DecoderListener, TimedPhase, PhaseTimes {
  readonly #clock: Clock;
  readonly #limits: GuardLimits;
  readonly #listener: GuardListener;
  readonly #watch: PhaseTimer;
  readonly startedAt: Instant;
  readonly #form: ExpectedForm;
  /** The detected form of the response; null: not known yet. */
  #reading: ExpectedForm['wants'] | null;
  #reader: StreamReader | null = null;
  #estimatedOutputTokens: number | null = null;
  #phase: Phase = 'connect';
  sentAt: Instant = 0;
  #endedAt: Instant = 0;
  /** When an error status arrived; null: none has. */
  errorAt: Instant | null = null;
  /** When the last choice of a stream ended; Infinity: not yet. */
  completeAt: Instant = Infinity;
  /** When the last content arrived. */
  contentAt: Instant = 0;
  status = 0;
  #headers: HeadersByName = {};
  #decoder: ContentDecoder | null = null;
  /** The bytes that the owner has not taken. It may read or replace a complete response before it takes it. */
  readonly buffer: ResponseBuffer;
  #fold: StreamFold | null = null;
  #isError = false;
  #mayBeJson = false;
  #isCandidate = false;
  #ended = false;
  #endEmitted = false;
  isPaused = false;
  #upstreamOver = false;

  /** What is known of the response so far. */
  facts: ResponseFacts = { model: null, usage: null, finishReason: null, hasContent: false };

  constructor(clock: Clock, form: ExpectedForm, limits: GuardLimits, listener: GuardListener, held: ByteBudget, now = clock.now()) {
    this.buffer = new ResponseBuffer(held);
    this.#clock = clock;
    this.#form = form;
    this.#reading = form.wants === 'bytes' ? 'bytes' : null;
    this.#limits = limits;
    this.#listener = listener;
    this.startedAt = now;
    this.#watch = new PhaseTimer(clock, Math.min(limits.shortestMs, LINGER_MS), this, now);
  }

  get headers(): HeadersByName {
    return this.#headers;
  }

  /** An estimate of the output, for a provider that reports no usage; null: unknown. */
  get estimatedOutputTokens(): number | null {
    return this.#reader === null ? this.#estimatedOutputTokens : this.#reader.estimatedOutputTokens;
  }

  /** False: its events were searched for secrets, and nothing that was passed on so far contains one or a part of one. */
  get mayHoldSecret(): boolean {
    return this.#reader === null || this.buffer.isReplaced || this.#reader.mayHoldSecret !== false;
  }

  /** Returns the buffered bytes; later ones come through `onChunks` and `onEnd`. */
  take(): readonly Uint8Array[] {
    this.#phase = 'committed';
    return this.buffer.take();
  }

  /** Releases everything: the owner has finished the attempt. */
  stop(): void {
    this.#ended = true;
    this.#endEmitted = true;
    this.#watch.stop();
    this.#decoder?.destroy();
    this.buffer.take();
  }

  /** While paused (a slow reader, or not taken yet) silence is not the provider's, and no timeout runs. */
  setPaused(paused: boolean): void {
    this.isPaused = paused;
    this.#decoder?.setPaused(paused);
    if (paused) return;
    this.contentAt = this.#clock.now();
    if (this.completeAt < Infinity) this.completeAt = this.contentAt;
  }

  /** True once the whole response was received, taken or not. */
  get isComplete(): boolean {
    return this.#ended;
  }

  onSent(): void {
    this.#phase = 'headers';
    this.sentAt = this.#clock.now();
    this.#listener.onSent(this.sentAt);
  }

  onHeaders(status: number, headers: HeadersByName): void {
    this.status = status;
    this.#headers = headers;
    this.#phase = 'first_content';
    this.#isError = status < 200 || status > 299;
    if (this.#isError) this.errorAt = this.#clock.now();
    const encoding = firstValue(headers['content-encoding']);
    if (!isIdentity(encoding) && (this.#isError || this.#form.wants !== 'bytes')) {
      this.#decoder = createContentDecoder(encoding!, this);
      if (this.#decoder === null) return this.#fail('malformed', 'the response has an unknown content encoding');
    }
    if (this.#isError) return;
    const type = firstValue(headers['content-type']);
    const fault = this.#form.wants === 'bytes' ? pageFault(type) : contentTypeFault(type);
    if (fault !== null) this.#fail('malformed', fault);
    else if (this.#form.judgesBytes && isIdentity(encoding) && isJson(type)) this.#reading = 'json';
    else this.#mayBeJson = isIdentity(encoding) && mayHideJson(this.#form, type);
  }

  onData(chunk: Uint8Array): void {
    if (this.#ended) return;
    if (this.#decoder !== null) this.#decoder.push(chunk);
    else this.onDecoded(chunk);
  }

  onEnd(): void {
    this.#upstreamOver = true;
    if (this.#ended) return this.#watch.stop();
    if (this.#decoder !== null) this.#decoder.end();
    else this.onDecodedEnd();
  }

  onError(error: Error, isStale = false): void {
    this.#upstreamOver = true;
    if (this.#ended) return this.#watch.stop();
    const code = (error as { code?: unknown }).code;
    const named = typeof code === 'string' ? code : error.name;
    if (OWN_EXHAUSTION.has(named) && (this.#phase === 'connect' || this.#phase === 'headers')) {
      this.#fail('exhausted', `this machine has no resources for another connection (${named})`);
    } else if (this.#phase === 'connect') this.#failWith(connectFailure(error));
    else if (this.#phase === 'headers') this.#failWith(resetFailure(named, isStale && this.#clock.now() - this.sentAt < STALE_WITHIN_MS));
    else this.#fail('cut', `the connection broke during the response (${named})`);
  }

  onDecoded(chunk: Uint8Array): void {
    try {
      this.#take(chunk);
    } catch (error) {
      this.#thrown(error);
    }
  }

  onDecodedEnd(): void {
    try {
      this.#finish();
    } catch (error) {
      this.#thrown(error);
    }
  }

  onUndecodable(cutOff: boolean): void {
    if (cutOff) this.#fail('cut', 'the encoded response ended before it was complete');
    else this.#fail('malformed', 'the response does not match its content encoding');
  }

  onDecoderFull(full: boolean): void {
    this.#listener.onDecoderFull(full);
  }

  #take(chunk: Uint8Array): void {
    if (this.#ended) return;
    if (this.#isError) this.#collectError(chunk);
    else if (this.#reading === null) this.#takeFirst(chunk);
    else if (this.#reading === 'stream') this.#takePush(this.#reader!.push(chunk));
    else if (this.#reading === 'json') this.#collectJson(chunk);
    else this.#passBytes(chunk);
  }

  /** Some servers respond in another form than requested, or with a wrong content type, so the form is detected from the body. */
  #takeFirst(chunk: Uint8Array): void {
    const found = sniff(chunk);
    if (found === 'page') return this.#fail('malformed', 'the response is a web page, not JSON');
    if (found === null) {
      this.#deliver([chunk]);
      if (this.buffer.bytes > PREAMBLE_MAX) this.#fail('malformed', 'the response starts with too many blanks');
      return;
    }
    this.#readAs(found);
    const blanks = this.buffer.take();
    for (const blank of blanks) this.#take(blank);
    this.#take(chunk);
  }

  #readAs(form: 'stream' | 'json'): void {
    this.#reader = form === 'stream' ? this.#form.createReader(firstValue(this.#headers['content-type'])) : null;
    this.#reading = this.#reader === null ? 'json' : 'stream';
    if (this.#reader === null) return;
    this.facts = this.#reader.facts;
    if (this.#form.wants === 'stream') this.buffer.hold = this.#form.createHold();
  }

  #collectError(chunk: Uint8Array): void {
    this.buffer.add(chunk);
    if (this.buffer.bytes > ERROR_BODY_MAX) this.#finish();
  }

  #collectJson(chunk: Uint8Array): void {
    if (!isAllBlank(chunk)) {
      if (this.#phase === 'first_content') this.#phase = 'answer';
      this.contentAt = this.#clock.now();
    }
    this.buffer.addText(chunk);
    if (this.#form.wants === 'stream' || this.#form.isConverted) {
      if (this.buffer.isTooLarge) this.#fail('malformed', 'a response of this size cannot be converted');
      return;
    }
    if (!this.buffer.isFull) return;
    this.#reading = 'bytes';
    this.buffer.passOn();
    this.#becomeCandidate(this.contentAt);
  }

  #passBytes(chunk: Uint8Array): void {
    this.contentAt = this.#clock.now();
    this.buffer.rest?.push(chunk);
    this.#deliver([chunk]);
    this.#mayBeJson &&= mayBeJson(this.buffer.peek());
    if (this.#mayBeJson) return;
    this.facts.hasContent = true;
    this.#becomeCandidate(this.contentAt);
  }

  #takePush(push: StreamPush): void {
    if (push.hasContent) this.contentAt = this.#clock.now();
    if (this.completeAt === Infinity && this.#reader!.isComplete) this.completeAt = this.#clock.now();
    if (push.pieces.length > 0) this.#deliver(push.pieces);
    if (push.failure !== null) {
      // Content before the failure was received, but not seen by the caller while it is buffered.
      return this.#failWith({ ...push.failure, phase: this.#phase, status: push.failure.status ?? null });
    }
    if (this.#form.wants === 'json') return this.#takeFolded(push);
    if (!this.#isCandidate && this.buffer.canRelease(push, this.contentAt)) this.#becomeCandidate(this.contentAt);
    if (push.hasContent && this.#phase === 'first_content') this.#phase = 'answer';
    if (push.done) this.#complete();
    else if (this.buffer.since === null && this.buffer.bytes > PREAMBLE_MAX) this.#fail('malformed', 'the stream has an endless preamble');
  }

  /** Events for a non-streaming response, buffered until complete. Not through `#fail`, which ends a complete stream and returns here. */
  #takeFolded(push: StreamPush): void {
    if (push.hasContent) this.#phase = 'answer';
    this.#fold ??= this.#form.createFold();
    for (const chunk of push.pieces) this.#fold.push(chunk);
    if (this.buffer.isTooLarge || this.#fold.isTooLarge)
      this.#failWith(createFailure('malformed', this.#phase, 'a stream of this size cannot be converted', { status: this.status }));
    else if (push.done) this.#judgeWhole(this.#fold.finish(), this.#reader!.facts);
  }

  #deliver(chunks: readonly Uint8Array[]): void {
    if (this.#phase === 'committed') return this.#listener.onChunks(chunks);
    for (const chunk of chunks) this.buffer.add(chunk);
  }

  #becomeCandidate(now: Instant): void {
    if (this.#isCandidate) return;
    this.#isCandidate = true;
    if (this.#phase !== 'committed') this.#phase = 'answer';
    this.#listener.onCandidate(now);
  }

  /** The upstream closed cleanly. */
  #finish(): void {
    if (this.#ended) return;
    if (this.#isError) return this.#failWith(errorFailure(this.status, this.#headers, this.buffer.peek(), this.#clock.epochMs()));
    if (this.#reading === null) this.#readAs(this.#form.wants === 'stream' ? 'stream' : 'json');
    if (this.#reading === 'stream') return this.#takePush(this.#reader!.end());
    if (this.#reading === 'json') return this.#judgeWhole(this.buffer.peek(), null);
    if (this.buffer.rest?.parse() === undefined && this.buffer.rest !== null)
      return this.#fail('cut', 'the response ended before its JSON was complete');
    const hidden = this.#mayBeJson ? hiddenFailure(this.buffer.peek(), firstValue(this.#headers['content-type'])) : null;
    if (hidden !== null) return this.#failWith(hidden);
    if (this.#form.judgesBytes && !this.facts.hasContent && this.buffer.bytes === 0) return this.#fail('empty', 'the response has no body');
    this.facts.hasContent = true;
    this.#complete();
  }

  #judgeWhole(whole: Uint8Array, folded: ResponseFacts | null): void {
    const judged = judgeWhole(this.#form, whole, this.buffer.outline, folded);
    if ('failure' in judged) {
      this.facts.usage = judged.usage ?? this.facts.usage;
      return this.#failWith(judged.failure);
    }
    this.facts = judged.facts;
    this.#estimatedOutputTokens = judged.estimatedOutputTokens;
    this.buffer.replace(judged.bytes);
    this.#complete();
  }

  #complete(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#endedAt = this.#clock.now();
    this.#decoder?.destroy();
    if (this.#upstreamOver) this.#watch.stop();
    if (this.#form.wants === 'stream' && !this.#isCandidate && isHollow(this.facts) && this.#form.mayBeEmpty !== true) {
      this.#watch.stop();
      this.#endEmitted = true;
      // Without a finished choice there is no response to return.
      const body = this.facts.finishReason === null ? null : this.buffer.peek();
      return this.#listener.onFailure(createFailure('empty', 'answer', 'the stream ended without content', { status: this.status, body }));
    }
    this.#becomeCandidate(this.#endedAt);
    if (this.#phase === 'committed') this.#emitEnd();
  }

  /** For the owner, after `take`: emits the end if the response is complete. */
  emitEndIfComplete(): void {
    if (this.#ended) this.#emitEnd();
  }

  #emitEnd(): void {
    if (this.#endEmitted) return;
    this.#endEmitted = true;
    this.#listener.onEnd();
  }

  #fail(kind: FailureKind, message: string): void {
    // An error status is sufficient without a complete or readable body, and so are complete choices without the stream's terminator.
    if (this.#isError || this.#reader?.isComplete === true) this.onDecodedEnd();
    else this.#failWith(createFailure(kind, this.#phase, message, { status: this.status === 0 ? null : this.status }));
  }

  #failWith(failure: Failure): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#endEmitted = true;
    this.#watch.stop();
    this.#decoder?.destroy();
    try {
      this.#listener.onFailure(failure);
    } catch (error) {
      this.#thrown(error);
    }
  }

  /** An internal fault. The callers (a socket, a decoder or a timer) do not catch it. */
  #thrown(error: unknown): void {
    this.#listener.onThrown(error, this.#ended);
    this.#failWith(createFailure('malformed', this.#phase, 'the response could not be parsed', { status: this.status }));
  }

  limitAt(now: Instant): PhaseLimit {
    if (this.#ended) return { at: this.#endedAt + LINGER_MS, kind: 'timeout' };
    return phaseLimit(this.#phase, this, this.#limits, now);
  }

  onLimit(kind: PhaseLimit['kind']): void {
    if (this.#ended) return this.#listener.onLinger();
    if (kind === 'silence') return this.#listener.onSilence();
    this.expire();
  }

  expire(): void {
    const since = this.#phase === 'answer' || this.#phase === 'committed' ? this.contentAt : this.startedAt;
    const silentMs = Math.round(this.#clock.now() - since);
    this.#fail('timeout', `${MISSING[this.#phase]} within ${silentMs} ms`);
    // A response that lacked the terminator only is complete now, and no timer guards its connection.
    if (!this.#upstreamOver) this.#listener.onLinger();
  }
}
