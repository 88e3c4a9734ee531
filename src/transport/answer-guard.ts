/**
 * Watches one answer from the send to its end: which bytes may go on, when the first content is there, when silence
 * has lasted too long, and whether what ended was complete. Nothing leaves it before it is known to be an answer.
 */
import type { Clock, Instant } from '../core/clock.ts';
import type { AnswerFacts, Failure, FailureKind, Phase } from '../core/facts.ts';
import type { ByteRoom } from '../core/held-bytes.ts';
import { createFailure, resetFailure } from '../wire/failure.ts';
import type { StreamFold, StreamPush, StreamReader } from '../wire/dialect.ts';
import { contentTypeFault, isAllBlank, errorFailure, isHollow, isJson, judgeWhole, pageFault, sniff } from './answer-form.ts';
import { hiddenFailure, mayBeJson, mayHideJson } from './hidden-json.ts';
import type { AnswerForm } from './answer-form.ts';
import { MISSING, phaseLimit } from './answer-limits.ts';
import type { PhaseTimes } from './answer-limits.ts';
import { AnswerWatch } from './answer-watch.ts';
import type { Watched, WatchLimit } from './answer-watch.ts';
import { connectFailure, OWN_EXHAUSTION } from './connection-fault.ts';
import { createContentDecoder, isIdentity } from './content-decoder.ts';
import type { ContentDecoder, DecoderListener } from './content-decoder.ts';
import type { GuardLimits, GuardListener } from './guard-listener.ts';
import { HeldAnswer } from './held-answer.ts';
import { firstValue, type ResponseHeaders, type UpstreamListener } from './transport.ts';

/** As much of an error body is read, in bytes. */
const ERROR_BODY_MAX = 1024 * 1024;
/** A stream may say this much before its first content, in bytes. */
const PREAMBLE_MAX = 4 * 1024 * 1024;
/** After the last word of a stream its upstream may close in good order, so that its connection serves again; then it is closed, in ms. */
const LINGER_MS = 1000;
/** A reused connection that breaks within this had been closed before the request came, in milliseconds. */
const STALE_WITHIN_MS = 500;

export class AnswerGuard implements UpstreamListener, DecoderListener, Watched, PhaseTimes {
  readonly #clock: Clock;
  readonly #limits: GuardLimits;
  readonly #listener: GuardListener;
  readonly #watch: AnswerWatch;
  readonly startedAt: Instant;
  readonly #form: AnswerForm;
  /** What the answer turned out to be; null: nothing has been seen of it yet. */
  #reading: AnswerForm['wants'] | null;
  #reader: StreamReader | null = null;
  #saidTokens: number | null = null;
  #phase: Phase = 'connect';
  #sentAt: Instant = 0;
  #endedAt: Instant = 0;
  /** When an error status came; null: none has. */
  errorAt: Instant | null = null;
  /** When every choice of a stream had ended; Infinity: not yet. */
  completeAt: Instant = Infinity;
  /** When content came last. */
  contentAt: Instant = 0;
  #status = 0;
  #headers: ResponseHeaders = {};
  #decoder: ContentDecoder | null = null;
  /** Its owner may look at a complete answer, or put another in its place, before it takes it. */
  readonly held: HeldAnswer;
  #fold: StreamFold | null = null;
  #isError = false;
  #mayBeJson = false;
  #isCandidate = false;
  #ended = false;
  #endTold = false;
  isPaused = false;
  #upstreamOver = false;

  /** What is known of the answer; grows until its end. */
  facts: AnswerFacts = { model: null, usage: null, finishReason: null, hasContent: false, toolCallOpen: false };

  constructor(clock: Clock, form: AnswerForm, limits: GuardLimits, listener: GuardListener, held: ByteRoom) {
    this.held = new HeldAnswer(held);
    this.#clock = clock;
    this.#form = form;
    this.#reading = form.wants === 'bytes' ? 'bytes' : null;
    this.#limits = limits;
    this.#listener = listener;
    this.startedAt = clock.now();
    this.#watch = new AnswerWatch(clock, Math.min(limits.shortestMs, LINGER_MS), this);
  }

  get status(): number {
    return this.#status;
  }

  get headers(): ResponseHeaders {
    return this.#headers;
  }

  get sentAt(): Instant {
    return this.#sentAt;
  }

  /** An estimate of what was generated, for a provider that tells no usage; null: nothing is known. */
  get saidTokens(): number | null {
    return this.#reader === null ? this.#saidTokens : this.#reader.saidTokens;
  }

  /** What was held back until now; from here `onPieces` and `onEnd` tell the rest. */
  take(): readonly Uint8Array[] {
    this.#phase = 'committed';
    return this.held.take();
  }

  /** Nothing held or kept: the attempt is over for its owner. */
  stop(): void {
    this.#ended = true;
    this.#endTold = true;
    this.#watch.stop();
    this.#decoder?.destroy();
    this.held.take();
  }

  /** The caller is behind, or nobody has taken it yet: silence is ours now, not the provider's. */
  setPaused(paused: boolean): void {
    this.isPaused = paused;
    this.#decoder?.setPaused(paused);
    if (paused) return;
    this.contentAt = this.#clock.now();
    if (this.completeAt < Infinity) this.completeAt = this.contentAt;
  }

  /** True once the whole answer has come in, though its owner may not have taken it yet. */
  get isComplete(): boolean {
    return this.#ended;
  }

  onSent(): void {
    this.#phase = 'headers';
    this.#sentAt = this.#clock.now();
    this.#listener.onSent();
  }

  onHeaders(status: number, headers: ResponseHeaders): void {
    this.#status = status;
    this.#headers = headers;
    this.#phase = 'first_content';
    this.#isError = status < 200 || status > 299;
    if (this.#isError) this.errorAt = this.#clock.now();
    const encoding = firstValue(headers['content-encoding']);
    if (!isIdentity(encoding) && (this.#isError || this.#form.wants !== 'bytes')) {
      this.#decoder = createContentDecoder(encoding!, this);
      if (this.#decoder === null) return this.#fail('malformed', 'the answer has an unknown content encoding');
    }
    if (this.#isError) return;
    const type = firstValue(headers['content-type']);
    const fault = this.#form.wants === 'bytes' ? pageFault(type) : contentTypeFault(type);
    if (fault !== null) this.#fail('malformed', fault);
    else if (this.#form.judgesBytes && isIdentity(encoding) && isJson(type)) this.#reading = 'plain';
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
      this.#fail('exhausted', `this machine has no room for another connection (${named})`);
    } else if (this.#phase === 'connect') this.#failWith(connectFailure(error));
    else if (this.#phase === 'headers') this.#failWith(resetFailure(named, isStale && this.#clock.now() - this.#sentAt < STALE_WITHIN_MS));
    else this.#fail('cut', `the connection broke within the answer (${named})`);
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
    if (cutOff) this.#fail('cut', 'the encoded answer ended before it was complete');
    else this.#fail('malformed', 'the answer can not be decoded as its content encoding says');
  }

  onDecoderFull(full: boolean): void {
    this.#listener.onDecoderFull(full);
  }

  #take(chunk: Uint8Array): void {
    if (this.#ended) return;
    if (this.#isError) this.#collectError(chunk);
    else if (this.#reading === null) this.#takeFirst(chunk);
    else if (this.#reading === 'stream') this.#takePush(this.#reader!.push(chunk));
    else if (this.#reading === 'plain') this.#collectPlain(chunk);
    else this.#passBytes(chunk);
  }

  /** Servers answer in the form that was not asked for, and call it what they like: the body itself says what it is. */
  #takeFirst(chunk: Uint8Array): void {
    const found = sniff(chunk);
    if (found === 'page') return this.#fail('malformed', 'the answer is a page, and no JSON');
    if (found === null) {
      this.#deliver([chunk]);
      if (this.held.bytes > PREAMBLE_MAX) this.#fail('malformed', 'the answer begins with blanks without end');
      return;
    }
    this.#readAs(found);
    const blanks = this.held.take();
    for (const blank of blanks) this.#take(blank);
    this.#take(chunk);
  }

  #readAs(form: 'stream' | 'plain'): void {
    this.#reader = form === 'stream' ? this.#form.createReader() : null;
    this.#reading = this.#reader === null ? 'plain' : 'stream';
    if (this.#reader === null) return;
    this.facts = this.#reader.facts;
    if (this.#form.wants === 'stream') this.held.hold = this.#form.createHold();
  }

  #collectError(chunk: Uint8Array): void {
    this.held.add(chunk);
    if (this.held.bytes > ERROR_BODY_MAX) this.#finish();
  }

  #collectPlain(chunk: Uint8Array): void {
    if (!isAllBlank(chunk)) {
      if (this.#phase === 'first_content') this.#phase = 'answer';
      this.contentAt = this.#clock.now();
    }
    this.held.addText(chunk);
    if (this.#form.wants === 'stream') {
      if (this.held.isTooLarge) this.#fail('malformed', 'one text of this size is no stream');
      return;
    }
    if (!this.held.isFull) return;
    this.#reading = 'bytes';
    this.#becomeCandidate();
  }

  #passBytes(chunk: Uint8Array): void {
    this.contentAt = this.#clock.now();
    this.#deliver([chunk]);
    this.#mayBeJson &&= mayBeJson(this.held.peek());
    if (this.#mayBeJson) return;
    this.facts.hasContent = true;
    this.#becomeCandidate();
  }

  #takePush(push: StreamPush): void {
    if (push.hasContent) this.contentAt = this.#clock.now();
    if (this.completeAt === Infinity && this.#reader!.isComplete) this.completeAt = this.#clock.now();
    if (push.pieces.length > 0) this.#deliver(push.pieces);
    if (push.failure !== null) {
      // What came before the failure is content all the same, but nobody has seen it yet if it is still held.
      return this.#failWith({ ...push.failure, phase: this.#phase, status: push.failure.status ?? null });
    }
    if (this.#form.wants === 'plain') return this.#takeFolded(push);
    if (!this.#isCandidate && this.held.lets(push, this.contentAt)) this.#becomeCandidate();
    if (push.hasContent && this.#phase === 'first_content') this.#phase = 'answer';
    if (push.done) this.#complete();
    else if (this.held.since === null && this.held.bytes > PREAMBLE_MAX) this.#fail('malformed', 'the stream has a preamble without end');
  }

  /** Events for a plain answer: held until they are complete. `#fail` is not for it: it ends a complete stream, which comes back here. */
  #takeFolded(push: StreamPush): void {
    if (push.hasContent) this.#phase = 'answer';
    this.#fold ??= this.#form.createFold();
    for (const piece of push.pieces) this.#fold.push(piece);
    if (this.held.isTooLarge || this.#fold.isTooLarge)
      this.#failWith(createFailure('malformed', this.#phase, 'a stream of this size is no plain answer', { status: this.#status }));
    else if (push.done) this.#judgeWhole(this.#fold.finish(), this.#reader!.facts);
  }

  #deliver(pieces: readonly Uint8Array[]): void {
    if (this.#phase === 'committed') return this.#listener.onPieces(pieces);
    for (const piece of pieces) this.held.add(piece);
  }

  #becomeCandidate(): void {
    if (this.#isCandidate) return;
    this.#isCandidate = true;
    if (this.#phase !== 'committed') this.#phase = 'answer';
    this.#listener.onCandidate();
  }

  /** The upstream closed its side in good order. */
  #finish(): void {
    if (this.#ended) return;
    if (this.#isError) return this.#failWith(errorFailure(this.#status, this.#headers, this.held.peek(), this.#clock.epochMs()));
    if (this.#reading === null) this.#readAs(this.#form.wants === 'stream' ? 'stream' : 'plain');
    if (this.#reading === 'stream') return this.#takePush(this.#reader!.end());
    if (this.#reading === 'plain') return this.#judgeWhole(this.held.peek(), null);
    const hidden = this.#mayBeJson ? hiddenFailure(this.held.peek(), firstValue(this.#headers['content-type'])) : null;
    if (hidden !== null) return this.#failWith(hidden);
    if (this.#form.judgesBytes && !this.facts.hasContent && this.held.bytes === 0) return this.#fail('empty', 'the answer has no body');
    this.facts.hasContent = true;
    this.#complete();
  }

  #judgeWhole(whole: Uint8Array, folded: AnswerFacts | null): void {
    const judged = judgeWhole(this.#form, whole, this.held.outline, folded);
    if ('failure' in judged) {
      this.facts.usage = judged.usage ?? this.facts.usage;
      return this.#failWith(judged.failure);
    }
    this.facts = judged.facts;
    this.#saidTokens = judged.saidTokens;
    this.held.replace(judged.bytes);
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
      this.#endTold = true;
      // Without a choice that came to its end it is no answer that anybody could be given.
      const body = this.facts.finishReason === null ? null : this.held.peek();
      return this.#listener.onFailure(createFailure('empty', 'answer', 'the stream ended without content', { status: this.#status, body }));
    }
    this.#becomeCandidate();
    if (this.#phase === 'committed') this.#tellEnd();
  }

  /** For the owner, after `take`: tells the end if it has come already. */
  tellEndIfComplete(): void {
    if (this.#ended) this.#tellEnd();
  }

  #tellEnd(): void {
    if (this.#endTold) return;
    this.#endTold = true;
    this.#listener.onEnd();
  }

  #fail(kind: FailureKind, message: string): void {
    // An error status says enough, even if its body broke off, stalled, or can't be read. So does an answer that has come to its
    // end, if only the stream's own end is missing.
    if (this.#isError || this.#reader?.isComplete === true) this.onDecodedEnd();
    else this.#failWith(createFailure(kind, this.#phase, message, { status: this.#status === 0 ? null : this.#status }));
  }

  #failWith(failure: Failure): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#endTold = true;
    this.#watch.stop();
    this.#decoder?.destroy();
    try {
      this.#listener.onFailure(failure);
    } catch (error) {
      this.#thrown(error);
    }
  }

  /** A fault of ours. Nobody above would catch it: what calls us is a socket, a decoder or a timer. */
  #thrown(error: unknown): void {
    this.#listener.onThrown(error, this.#ended);
    this.#failWith(createFailure('malformed', this.#phase, 'the answer could not be read', { status: this.#status }));
  }

  limitAt(now: Instant): WatchLimit {
    if (this.#ended) return { at: this.#endedAt + LINGER_MS, kind: 'timeout' };
    return phaseLimit(this.#phase, this, this.#limits, now);
  }

  onPassed(kind: WatchLimit['kind']): void {
    if (this.#ended) return this.#listener.onLinger();
    if (kind === 'silence') return this.#listener.onSilence();
    this.expire();
  }

  expire(): void {
    const silentMs = Math.round(
      this.#clock.now() - (this.#phase === 'answer' || this.#phase === 'committed' ? this.contentAt : this.startedAt),
    );
    this.#fail('timeout', `${MISSING[this.#phase]} within ${silentMs} ms`);
    // Where all but the stream's own end was there it is complete, and nobody watches its connection any more.
    if (!this.#upstreamOver) this.#listener.onLinger();
  }
}
