/** One send to one target, from the permit to a candidate or a failure. */
import type { Clock, Instant } from '../core/clock.ts';
import type { AnswerFacts, Failure, Phase } from '../core/facts.ts';
import { setUnread } from './unread-place.ts';
import { firstContentLimitMs, headersLimitMs, isSilenceSet, silenceShareMs } from '../policy/latency/silence.ts';
import type { CallKind, SilentPhase } from '../policy/latency/silence.ts';
import type { RescueBudget } from '../policy/hedge.ts';
import { AnswerGuard } from '../transport/answer-guard.ts';
import type { GuardLimits, GuardListener } from '../transport/guard-listener.ts';
import { NEVER } from '../transport/answer-limits.ts';
import type { WatchLimit } from '../transport/answer-watch.ts';
import type { ResponseHeaders, Transport, UpstreamCall } from '../transport/transport.ts';
import type { AnswerChoice } from '../core/quality.ts';
import { answerKind } from './answer-kind.ts';
import type { ResponseForm } from './answer-form.ts';
import { NO_CONSUMER, type AnswerConsumer, type AttemptOptions } from './attempt-options.ts';
import { callKindOf } from './call-kind.ts';
import { AnswerMask, maskFailure } from './mask-credential.ts';
import { upstreamRequestId } from './upstream-headers.ts';
import { bodyOf, headersOf, namingHost, pathOf, responseForm } from './upstream-request.ts';

/** How often an automatic limit of silence is looked at again: what it depends on changes meanwhile. */
const REVIEW_MS = 5_000;
/** Hears that an attempt is a candidate, has failed, or was cancelled. */
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
  /** There is no first content yet, nor an end. */
  #isAwaited = true;
  readonly #clock: Clock;
  readonly #guard: AnswerGuard;
  readonly #form: ResponseForm;
  readonly #mask: AnswerMask;
  #upstream: UpstreamCall | null = null;
  #listener: AttemptListener | null = null;
  #consumer: AnswerConsumer | null = null;
  /** Its owner looks at its silence no sooner. */
  #looksAgainAt: Instant = -Infinity;
  /** What rescues on its target's account may cost, if it is one; null: it is none, or is decided. */
  rescueBudget: RescueBudget | null = null;
  /** Either holds the upstream back. */
  #callerBehind = false;
  #decoderFull = false;
  /** Undefined: not looked for yet. */
  #upstreamId: string | null | undefined;
  /** Why it failed, or broke after it was committed; null so far. */
  failure: Failure | null = null;
  cancelled = false;
  /** Its end stands in the timeline. */
  endTold = false;
  /** It went out before all was judged that is asked of it. */
  isUnjudged = false;
  sent = false;
  /** A refusal by a rate limit pauses its target; false: it is one of a few that seem to be random. */
  pausesTarget = true;
  firstContentAt: Instant | null = null;
  /** How many calls ran at the target when this one started, itself among them. */
  readonly running: number;

  constructor(clock: Clock, options: AttemptOptions) {
    const { facts } = options.request;
    const { state, policy } = options.target;
    this.#clock = clock;
    this.options = options;
    this.startedAt = clock.now();
    this.running = state.concurrency.running(this.startedAt);
    this.#kind = answerKind(facts);
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
    this.#mask = new AnswerMask(options.owner.secrets, this.#form.wants === 'stream');
    this.#guard = new AnswerGuard(clock, this.#form, this, this, options.owner.held);
  }

  get facts(): AnswerFacts {
    return this.#guard.facts;
  }

  /** An estimate of what was generated; null: nothing is known. */
  get saidTokens(): number | null {
    return this.#guard.saidTokens;
  }

  get status(): number {
    return this.#guard.status;
  }

  get headers(): ResponseHeaders {
    return this.#guard.headers;
  }

  /** The provider's own id of the request; null where it gave none. */
  get upstreamId(): string | null {
    if (this.#upstreamId !== undefined) return this.#upstreamId;
    const id = upstreamRequestId(this.#guard.headers);
    return (this.#upstreamId = id === null ? null : this.options.owner.secrets.text(id));
  }

  /** True once the whole answer is here. */
  get isComplete(): boolean {
    return this.#guard.isComplete;
  }

  /** Sends; `listener` hears when there is a candidate, a failure, or it was cancelled. */
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

  /** True: the whole answer is here, and no larger than what is judged. */
  get canBeJudged(): boolean {
    return this.#guard.isComplete && this.#guard.held.hold?.fold?.isTooLarge !== true;
  }

  /** The choices of a complete answer. */
  readChoices(): AnswerChoice[] {
    return this.options.request.dialect.response.choices(this.wholeAnswer(), this.#guard.held.outline);
  }

  /** A complete answer as one JSON text, to be judged before it is taken. */
  wholeAnswer(): Uint8Array {
    const { held } = this.#guard;
    if (this.#form.wants !== 'stream') return held.peek();
    return held.hold?.fold?.finish() ?? this.#form.toPlain(held.peek());
  }

  /** Puts another JSON text in the place of a complete answer that has not been taken. */
  replaceAnswer(answer: Uint8Array): void {
    this.#guard.held.hold = null;
    this.#guard.held.replace(this.#form.wants === 'stream' ? this.#form.toStream(answer) : answer);
  }

  /** Somebody wants the answer for longer than the request that it was made for. */
  raiseDeadline(deadline: Instant): void {
    if (this.firstContentAt !== null) return;
    this.#deadline = deadline;
    this.attemptEnds = Math.min(deadline, this.startedAt + this.options.target.policy.timeouts.attempt);
  }

  /** Takes the candidate: what was held comes back, the rest goes to `consumer`. */
  take(consumer: AnswerConsumer): readonly Uint8Array[] {
    this.#consumer = consumer;
    return this.#mask.push(this.#guard.take());
  }

  /** Nobody wants a complete answer. */
  drop(): void {
    this.#guard.held.take();
  }

  /** Takes a complete answer, in one piece. */
  takeWhole(): Uint8Array {
    const pieces = [...this.take(NO_CONSUMER), ...this.#mask.flush()];
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  /** After `take`: tells the end if it is here already. */
  tellEndIfComplete(): void {
    this.#guard.tellEndIfComplete();
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

  /** Nobody wants the answer any more: the upstream connection is closed. */
  cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.#stop();
    this.#settleDecision();
  }

  /** Another attempt was there first. That its target was silent for so long is known all the same. */
  loseRace(): void {
    if (this.sent && this.isSilent) this.options.target.state.silence.record(this.#call, this.#clock.now() - this.#guard.sentAt);
    this.cancel();
  }

  /** It runs, and has said nothing that anybody asked for. */
  get isSilent(): boolean {
    return this.firstContentAt === null && this.#guard.contentAt === 0 && this.failure === null && !this.cancelled;
  }

  /** How long calls like this one are silent at its target, by quantile, in milliseconds; null: too little is known. */
  usualSilenceMs(quantile: number): number | null {
    return this.options.target.state.silence.quantileMs(this.#call, quantile);
  }

  /** Milliseconds until the first content or the whole plain answer; null: neither came. */
  get silentMs(): number | null {
    return this.firstContentAt === null ? null : this.firstContentAt - this.startedAt;
  }

  /** When it last said something; before it said anything, when it began. */
  get heardAt(): Instant {
    return Math.max(this.startedAt, this.#guard.contentAt);
  }

  /** Milliseconds from the send to the first content of a stream; null: it came whole, or not at all. */
  get streamedFirstMs(): number | null {
    return this.firstContentAt === null || this.#guard.isComplete ? null : this.firstContentAt - this.#guard.sentAt;
  }

  get thinks(): boolean {
    return this.#call.thinks;
  }

  /** How long it might have been silent in this phase by the settings alone, whatever its caller's deadline; in milliseconds. */
  ownLimitMs(phase: Phase): number {
    const { attempt } = this.options.target.policy.timeouts;
    if (phase === 'connect') return Math.min(this.connectMs, attempt);
    if (phase === 'headers') return Math.min(this.headersMs, attempt);
    return Math.min(phase === 'first_content' ? this.firstContentMs : this.idleMs, attempt);
  }

  /** How long nearly all healthy answers of its kind leave it silent in this phase, in milliseconds; 0: nobody knows. */
  knownSilenceMs(phase: Phase): number {
    if (phase !== 'headers' && phase !== 'first_content') return 0;
    return this.options.target.state.silence.nearlyAllMs(this.#call);
  }

  /** When its silence is to be looked at. */
  shorter(now: Instant, sentAt: Instant, phase: SilentPhase): WatchLimit {
    if (this.#looksAgainAt > now) return this.#looksAgainAt === Infinity ? NEVER : { at: this.#looksAgainAt, kind: 'silence' };
    const { owner, target } = this.options;
    const atHand = owner.atHand(target, now);
    if (atHand === 'none') return NEVER;
    const at = atHand === 'stand-in' ? owner.standInAt : Math.min(this.#shareEnds, this.#rescueAt(sentAt, phase));
    return { at, kind: 'silence' };
  }

  /** Looks at its silence no sooner than that; Infinity: not before it is said again. */
  lookAgainAt(at: Instant): void {
    this.#looksAgainAt = at;
  }

  /** Why it has been silent for too long; null: it has not been. */
  overdue(now: Instant): 'slow' | 'timeout' | null {
    if (!this.isSilent) return null;
    const phase = this.silentPhase;
    if (now >= this.#rescueAt(this.sent ? this.#guard.sentAt : 0, phase)) return 'slow';
    return this.mustYield(now) ? 'timeout' : null;
  }

  /** It has spent the share of the deadline that it may: the next target is asked, beside it or in its place. */
  mustYield(now: Instant): boolean {
    const { owner, target } = this.options;
    return now >= (owner.atHand(target, now) === 'stand-in' ? owner.standInAt : this.#shareEnds);
  }

  /** It has not been silent for longer than nine in ten calls like it; false where that is not known. */
  isInUsualTime(now: Instant): boolean {
    return now < this.startedAt + this.options.target.state.silence.usualMs(this.#call);
  }

  get #shareEnds(): Instant {
    return this.startedAt + silenceShareMs(this.#deadline - this.startedAt);
  }

  /** When another target is asked beside it. A configured duration is a limit of its own, and is not shortened. */
  #rescueAt(sentAt: Instant, phase: SilentPhase): Instant {
    const { policy, state } = this.options.target;
    if (isSilenceSet(policy.timeouts, this.#call, phase)) return Infinity;
    return (sentAt === 0 ? this.startedAt : sentAt) + state.silence.rescueAfterMs(this.#call);
  }

  get silentPhase(): SilentPhase {
    return !this.sent ? 'connect' : this.status === 0 ? 'headers' : 'first_content';
  }

  /** Every choice has ended; usage and the stream's own end may follow. */
  get hasSaidAll(): boolean {
    return this.#guard.completeAt !== Infinity;
  }

  /** It fails, as after a limit of its own. */
  expire(): void {
    this.#guard.expire();
  }

  onSilence(): void {
    this.options.owner.onSilence();
  }

  onSent(): void {
    this.sent = true;
  }

  onCandidate(): void {
    this.firstContentAt = this.#guard.held.since ?? this.#clock.now();
    this.#isAwaited = false;
    this.options.target.state.firstContent.answered(this.#kind, this.firstContentAt, this.startedAt);
    this.options.target.state.silence.record(this.#call, this.firstContentAt - this.#guard.sentAt);
    this.options.target.state.rescueBudget.noteAnswer();
    this.#settleDecision();
  }

  onPieces(pieces: readonly Uint8Array[]): void {
    const passed = this.#mask.push(pieces);
    if (passed.length > 0) this.#consumer!.onPieces(passed);
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
    const { request, target, owner } = this.options;
    const { credential, origin } = target.state;
    const named = found.phase === 'connect' ? namingHost(found, origin) : found;
    const failure = maskFailure(named, owner.secrets, credential.auth === 'caller' ? request.callerCredential : null);
    if (failure.kind === 'exhausted') owner.noteExhaustion(failure);
    if (this.#consumer !== null) this.#passRest();
    this.failure = failure;
    this.#stop();
    if (this.#consumer !== null) this.#consumer.onFailure(failure);
    else this.#settleDecision();
  }

  /** What was held back because it might be the beginning of a secret. */
  #passRest(): void {
    const rest = this.#mask.flush();
    if (rest.length > 0) this.#consumer!.onPieces(rest);
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
