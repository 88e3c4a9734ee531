/** One upstream call to one target, from the permit to a candidate or a failure. */
import type { Clock, Instant } from '../../core/clock.ts';
import type { ResponseFacts, Failure, Phase } from '../../core/facts.ts';
import { setUnread } from './unread-place.ts';
import { firstContentLimitMs, headersLimitMs, isSilenceSet, silenceShareMs } from '../../policy/latency/silence.ts';
import type { CallKind, SilentPhase } from '../../policy/latency/silence.ts';
import type { RescueBudget } from '../../policy/hedge.ts';
import { ResponseGuard } from '../../transport/response-guard.ts';
import type { GuardLimits, GuardListener } from '../../transport/guard-listener.ts';
import { NEVER } from '../../transport/phase-limits.ts';
import type { PhaseLimit } from '../../transport/phase-timer.ts';
import type { Transport, UpstreamCall } from '../../transport/transport.ts';
import type { AnswerChoice } from '../../core/quality.ts';
import { responseKind } from '../request/response-kind.ts';
import type { ResponseForm } from './response-form.ts';
import { NO_CONSUMER, type ResponseConsumer, type AttemptOptions } from './attempt-options.ts';
import { callKindOf } from '../request/call-kind.ts';
import { ResponseMask } from './response-mask.ts';
import { upstreamRequestId } from './upstream-headers.ts';
import { bodyOf, headersOf, pathOf, responseForm, shownFailure } from './upstream-request.ts';

/** How often an automatic silence limit is re-evaluated, as what it depends on changes. */
const REVIEW_MS = 5_000;
/** A request that leaves later than this after its permit was taken counts from then on, in milliseconds. */
const SENT_LATE_MS = 20;

/** Called when an attempt becomes a candidate, fails, or is cancelled. */
export interface AttemptListener {
  onDecided(attempt: Attempt): void;
}

export class Attempt implements GuardListener, GuardLimits {
  readonly options: AttemptOptions;
  readonly startedAt: Instant;
  readonly connectMs: number;
  readonly headersMs: number;
  readonly firstContentMs: number;
  readonly idleMs: number;
  attemptEnds: Instant;
  #deadline: Instant;
  readonly shortestMs: number;
  readonly #call: CallKind;
  readonly #kind: number;
  /** No first content yet, and no end. */
  #isAwaited = true;
  readonly #clock: Clock;
  readonly #guard: ResponseGuard;
  readonly #form: ResponseForm;
  readonly #mask: ResponseMask;
  #upstream: UpstreamCall | null = null;
  #listener: AttemptListener | null = null;
  #consumer: ResponseConsumer | null = null;
  /** The owner re-evaluates its silence no sooner. */
  #recheckedAt: Instant = -Infinity;
  /** The rescue budget charged for this attempt; null: it is not a rescue, or is decided. */
  rescueBudget: RescueBudget | null = null;
  /** Reasons to pause the upstream. */
  #callerBehind = false;
  #decoderFull = false;
  /** Undefined: not read yet. */
  #upstreamId: string | null | undefined;
  /** Why it failed, before or after it was committed; null: it has not. */
  failure: Failure | null = null;
  cancelled = false;
  /** Its end has been emitted. */
  isEndEmitted = false;
  /** It was committed before all quality checks could be made. */
  isUnchecked = false;
  sent = false;
  /** A rate-limit refusal pauses the target; false: the refusal seems random. */
  pausesTarget = true;
  firstContentAt: Instant | null = null;
  /** Calls running at the target when this one started, including it. */
  readonly running: number;

  constructor(clock: Clock, now: Instant, options: AttemptOptions) {
    const { facts } = options.request;
    const { state, policy } = options.target;
    this.#clock = clock;
    this.options = options;
    this.startedAt = now;
    this.running = state.concurrency.running(this.startedAt);
    this.#kind = responseKind(facts);
    state.firstContent.began(this.#kind, this.startedAt);
    this.#call = callKindOf(facts, state);
    this.#deadline = options.deadline;
    this.connectMs = policy.timeouts.connect;
    this.headersMs = headersLimitMs(policy.timeouts, this.#call);
    this.firstContentMs = firstContentLimitMs(policy.timeouts, this.#call);
    this.idleMs = policy.timeouts.idle;
    this.attemptEnds = Math.min(options.deadline, this.startedAt + policy.timeouts.attempt);
    const shareMs = silenceShareMs(options.deadline - this.startedAt);
    this.shortestMs = Math.max(1, Math.min(this.connectMs, this.headersMs, this.firstContentMs, this.idleMs, shareMs, REVIEW_MS));
    this.#form = responseForm(options, clock);
    this.#mask = new ResponseMask(options.owner.secrets, this.#form.wants === 'stream');
    this.#guard = new ResponseGuard(clock, this.#form, this, this, options.owner.held, now);
  }

  get facts(): ResponseFacts {
    return this.#guard.facts;
  }

  /** Estimated number of tokens generated; null: unknown. */
  get estimatedOutputTokens(): number | null {
    return this.#guard.estimatedOutputTokens;
  }

  get status(): number {
    return this.#guard.status;
  }
  get headers(): ResponseGuard['headers'] {
    return this.#guard.headers;
  }

  /** The provider's own id of the request; null: none. */
  get upstreamId(): string | null {
    if (this.#upstreamId !== undefined) return this.#upstreamId;
    const id = upstreamRequestId(this.#guard.headers);
    return (this.#upstreamId = id === null ? null : this.options.owner.secrets.text(id));
  }

  get isComplete(): boolean {
    return this.#guard.isComplete;
  }

  /** Sends the request. `listener` is called once: for a candidate, a failure, or a cancellation. */
  send(transport: Transport, listener: AttemptListener): void {
    this.#listener = listener;
    if (this.cancelled) return this.#settleDecision();
    const { request, target } = this.options;
    this.#upstream = transport.send(
      {
        origin: target.state.origin,
        path: pathOf(this.options),
        method: request.method,
        headers: headersOf(this.options),
        body: bodyOf(this.options),
        connectTimeoutMs: this.connectMs,
        signer: this.options.signer,
      },
      this.#guard,
    );
  }

  /** True if the response is complete, and not too large to be checked. */
  get canBeJudged(): boolean {
    return this.#guard.isComplete && this.#guard.buffer.hold?.fold?.isTooLarge !== true;
  }

  /** The choices of a complete response. */
  readChoices(): AnswerChoice[] {
    return this.options.request.dialect.response.choices(this.wholeResponse(), this.#guard.buffer.outline);
  }

  /** A complete response as one JSON text, before it is taken. */
  wholeResponse(): Uint8Array {
    const { buffer } = this.#guard;
    if (this.#form.wants !== 'stream') return buffer.peek();
    return buffer.hold?.fold?.finish() ?? this.#form.fromStream(buffer.peek());
  }

  /** Replaces the JSON text of a complete response that has not been taken. */
  replaceResponse(response: Uint8Array): void {
    this.#guard.buffer.hold = null;
    this.#guard.buffer.replace(this.#form.wants === 'stream' ? this.#form.toStream(response) : response);
  }

  /** A reader with a later deadline has joined. */
  raiseDeadline(deadline: Instant): void {
    if (this.firstContentAt !== null) return;
    this.#deadline = deadline;
    this.attemptEnds = Math.min(deadline, this.startedAt + this.options.target.policy.timeouts.attempt);
  }

  /** Takes the candidate: returns the buffered chunks; the rest goes to `consumer`. */
  take(consumer: ResponseConsumer): readonly Uint8Array[] {
    this.#consumer = consumer;
    return this.#mask.push(this.#guard.take(), this.#guard.mayHoldSecret);
  }

  /** Discards a complete response. */
  drop(): void {
    this.#guard.buffer.take();
  }

  /** Takes a complete response as one chunk. */
  takeWhole(): Uint8Array {
    const chunks = [...this.take(NO_CONSUMER), ...this.#mask.flush()];
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  /** After `take`: reports the end if the response is already complete. */
  emitEndIfComplete(): void {
    this.#guard.emitEndIfComplete();
  }

  pause(): void {
    setUnread(this.options, this.#clock.now(), true);
    this.#callerBehind = true;
    this.#guard.setPaused(true);
    this.#upstream?.pause();
  }

  resume(): void {
    setUnread(this.options, this.#clock.now(), false);
    this.#callerBehind = false;
    this.#guard.setPaused(false);
    if (!this.#decoderFull) this.#upstream?.resume();
  }

  onDecoderFull(full: boolean): void {
    this.#decoderFull = full;
    if (full) this.#upstream?.pause();
    else if (!this.#callerBehind) this.#upstream?.resume();
  }

  onLinger(): void {
    this.#upstream?.abort();
  }

  /** Closes the upstream connection. */
  cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.#stop();
    this.#settleDecision();
  }

  /** Another attempt won. Records the silence so far, as a losing call's latency is at least its elapsed time. */
  loseRace(): void {
    if (this.sent && this.isSilent) this.options.target.state.silence.record(this.#call, this.#clock.now() - this.#guard.sentAt);
    this.cancel();
  }

  /** True while it runs and has produced no content. */
  get isSilent(): boolean {
    return this.firstContentAt === null && this.#guard.contentAt === 0 && this.failure === null && !this.cancelled;
  }

  /** The given quantile of the silence of similar calls to its target, in milliseconds; null: too few samples. */
  usualSilenceMs(quantile: number): number | null {
    return this.options.target.state.silence.quantileMs(this.#call, quantile);
  }

  /** Milliseconds until the first content, or until the whole non-streaming response; null: neither came. */
  get silentMs(): number | null {
    return this.firstContentAt === null ? null : this.firstContentAt - this.startedAt;
  }

  /** Time of its last content; before the first, time of its start. */
  get lastContentAt(): Instant {
    return Math.max(this.startedAt, this.#guard.contentAt);
  }

  /** Milliseconds from the send to the first content of a stream; null: it was not streamed, or has no content. */
  get streamedFirstMs(): number | null {
    return this.firstContentAt === null || this.#guard.isComplete ? null : this.firstContentAt - this.#guard.sentAt;
  }

  get usesReasoning(): boolean {
    return this.#call.usesReasoning;
  }

  /** The configured silence limit of a phase in milliseconds, without the caller's deadline. */
  ownLimitMs(phase: Phase): number {
    const { attempt } = this.options.target.policy.timeouts;
    if (phase === 'connect') return Math.min(this.connectMs, attempt);
    if (phase === 'headers') return Math.min(this.headersMs, attempt);
    return Math.min(phase === 'first_content' ? this.firstContentMs : this.idleMs, attempt);
  }

  /** How long nearly all healthy calls like this one are silent in a phase, in milliseconds; 0: unknown. */
  healthySilenceMs(phase: Phase): number {
    if (phase !== 'headers' && phase !== 'first_content') return 0;
    return this.options.target.state.silence.nearlyAllMs(this.#call);
  }

  /** When its silence is to be evaluated. */
  silenceLimit(now: Instant, sentAt: Instant, phase: SilentPhase): PhaseLimit {
    if (this.#recheckedAt > now) return this.#recheckedAt === Infinity ? NEVER : { at: this.#recheckedAt, kind: 'silence' };
    const { alternatives, target } = this.options;
    const alternative = alternatives.alternativeTo(target, now);
    if (alternative === 'none') return NEVER;
    const at = alternative === 'stand-in' ? alternatives.standInStart : Math.min(this.#shareEnds, this.#rescueAt(sentAt, phase));
    return { at, kind: 'silence' };
  }

  /** Evaluates its silence no sooner than `at`; Infinity: not until this is called again. */
  recheckAt(at: Instant): void {
    this.#recheckedAt = at;
  }

  /** Why it counts as silent for too long; null: it does not. */
  overdue(now: Instant): 'slow' | 'timeout' | null {
    if (!this.isSilent) return null;
    const phase = this.silentPhase;
    if (now >= this.#rescueAt(this.sent ? this.#guard.sentAt : 0, phase)) return 'slow';
    return this.mustYield(now) ? 'timeout' : null;
  }

  /** It has used up its share of the deadline: the next target is tried, in parallel or in its place. */
  mustYield(now: Instant): boolean {
    const { alternatives, target } = this.options;
    return now >= (alternatives.alternativeTo(target, now) === 'stand-in' ? alternatives.standInStart : this.#shareEnds);
  }

  /** True if it has been silent for no longer than nine in ten calls like it; false if unknown. */
  isInUsualTime(now: Instant): boolean {
    return now < this.startedAt + this.options.target.state.silence.usualMs(this.#call);
  }

  get #shareEnds(): Instant {
    return this.startedAt + silenceShareMs(this.#deadline - this.startedAt);
  }

  /** When another target is tried in parallel. A configured silence limit is not shortened. */
  #rescueAt(sentAt: Instant, phase: SilentPhase): Instant {
    const { policy, state } = this.options.target;
    if (isSilenceSet(policy.timeouts, this.#call, phase)) return Infinity;
    return (sentAt === 0 ? this.startedAt : sentAt) + state.silence.rescueAfterMs(this.#call);
  }

  get silentPhase(): SilentPhase {
    return !this.sent ? 'connect' : this.status === 0 ? 'headers' : 'first_content';
  }

  /** Every choice has ended; usage and the end of the stream may follow. */
  get choicesEnded(): boolean {
    return this.#guard.completeAt !== Infinity;
  }

  /** Fails the attempt as if its own timeout had passed. */
  expire(): void {
    this.#guard.expire();
  }

  onSilence(): void {
    this.options.owner.onSilence();
  }

  onSent(now: Instant): void {
    this.sent = true;
    if (this.options.permit.isHeld || now - this.startedAt >= SENT_LATE_MS) this.options.permit.sent(now);
  }

  onCandidate(now: Instant): void {
    this.firstContentAt = this.#guard.buffer.since ?? now;
    this.#isAwaited = false;
    this.options.target.state.firstContent.responded(this.#kind, this.firstContentAt, this.startedAt);
    this.options.target.state.silence.record(this.#call, this.firstContentAt - this.#guard.sentAt);
    this.options.target.state.rescueBudget.noteResponse();
    this.#settleDecision();
  }

  onChunks(chunks: readonly Uint8Array[]): void {
    const passed = this.#mask.push(chunks, this.#guard.mayHoldSecret);
    if (passed.length > 0) this.#consumer!.onChunks(passed);
  }

  onEnd(): void {
    this.#passRest();
    this.#consumer!.onEnd();
  }

  onThrown(error: unknown, isOver: boolean): void {
    if (isOver && this.#consumer !== null) this.#consumer.onThrown(error);
    else this.options.owner.warn(error);
  }

  onFailure(found: Failure): void {
    const failure = shownFailure(found, this.options);
    if (failure.kind === 'exhausted') this.options.owner.noteExhaustion(failure);
    if (this.#consumer !== null) this.#passRest();
    this.failure = failure;
    this.#stop();
    if (this.#consumer !== null) this.#consumer.onFailure(failure);
    else this.#settleDecision();
  }

  /** Passes on what was held back as a possible beginning of a secret. */
  #passRest(): void {
    const rest = this.#mask.flush();
    if (rest.length > 0) this.#consumer!.onChunks(rest);
  }

  #stop(): void {
    this.#guard.stop();
    this.#upstream?.abort();
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    this.options.target.state.firstContent.gaveUp(this.#kind, this.#clock.now(), this.startedAt);
  }

  #settleDecision(): void {
    const listener = this.#listener;
    this.#listener = null;
    listener?.onDecided(this);
  }
}
