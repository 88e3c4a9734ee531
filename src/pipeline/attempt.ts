/** One send to one target, from the permit to a candidate or a failure. */
import type { Clock, Instant } from '../core/clock.ts';
import type { RaceCause } from '../core/events.ts';
import type { Failure, Phase } from '../core/facts.ts';
import type { HeldBytes } from '../core/held-bytes.ts';
import type { Permit } from '../core/permit.ts';
import { firstContentLimitMs, headersLimitMs, silenceShareMs } from '../policy/latency/silence.ts';
import type { CallKind } from '../policy/latency/silence.ts';
import { AnswerGuard } from '../transport/answer-guard.ts';
import type { GuardLimits, GuardListener } from '../transport/guard-listener.ts';
import type { WatchLimit } from '../transport/answer-watch.ts';
import type { ResponseHeaders, Transport, UpstreamCall } from '../transport/transport.ts';
import type { AnswerFacts } from '../core/facts.ts';
import { encodeRequest } from '../wire/openai-chat/encode-request.ts';
import { replaceModel } from '../wire/multipart-model.ts';
import { answerKind } from './answer-kind.ts';
import { ChatAnswerForm } from './answer-form.ts';
import type { GatewayRequest } from './gateway-request.ts';
import { maskFailure, maskPieces, maskText } from './mask-credential.ts';
import type { RouteTarget } from './route.ts';
import { upstreamRequestId } from './upstream-headers.ts';

/** How often an automatic limit of silence is looked at again: what it depends on changes meanwhile. */
const REVIEW_MS = 5_000;

/** Headers that belong to an account, and so travel only with the caller's own credential. */
const ACCOUNT_HEADERS: ReadonlySet<string> = new Set(['openai-organization', 'openai-project']);

/** The request that an attempt is made for. */
export interface AttemptOwner {
  /** Where what is held of its answer is counted. */
  readonly held: HeldBytes;
  /** True if a target of another name is untried and could answer. */
  hasOtherAtHand(name: string, now: Instant): boolean;
  /** A fault of ours is told to the operator. */
  warn(error: unknown): void;
}

export interface AttemptOptions {
  readonly number: number;
  readonly request: GatewayRequest;
  readonly target: RouteTarget;
  readonly permit: Permit;
  readonly deadline: Instant;
  /** Fields to leave out beside the route's own. */
  readonly drop: readonly string[];
  readonly owner: AttemptOwner;
  /** It goes on with an answer that broke off: no quality of its own. */
  readonly isOnward: boolean;
  /** Why it runs beside another one; null: it doesn't. */
  readonly race: RaceCause | null;
}

/** What comes after the candidate was taken. */
export interface AnswerConsumer {
  onPieces(pieces: readonly Uint8Array[]): void;
  onEnd(): void;
  onFailure(failure: Failure): void;
  /** Its own work threw, in the middle of an end: no other end will be told. */
  onThrown(error: unknown): void;
}

/** The share of answers that `nearly all` are. */
const NEARLY_ALL = 0.99;

const NOBODY: AnswerConsumer = { onPieces() {}, onEnd() {}, onFailure() {}, onThrown() {} };

export class Attempt implements GuardListener, GuardLimits {
  readonly options: AttemptOptions;
  readonly startedAt: Instant;
  readonly connectMs: number;
  readonly headersMs: number;
  readonly firstContentMs: number;
  readonly idleMs: number;
  attemptEnds: Instant;
  readonly shortestMs: number;
  readonly #call: CallKind;
  readonly #kind: number;
  /** There is no first content yet, nor an end. */
  #isAwaited = true;
  readonly #clock: Clock;
  readonly #guard: AnswerGuard;
  readonly #form: ChatAnswerForm;
  #upstream: UpstreamCall | null = null;
  #decide: (() => void) | null = null;
  #consumer: AnswerConsumer | null = null;
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
    this.#call = { stream: facts.stream, thinks: facts.thinks || state.thinks, local: state.local, outputBound: facts.outputBound };
    this.connectMs = policy.timeouts.connect;
    this.headersMs = headersLimitMs(policy.timeouts, this.#call);
    this.firstContentMs = firstContentLimitMs(policy.timeouts, this.#call);
    this.idleMs = policy.timeouts.idle;
    this.attemptEnds = Math.min(options.deadline, this.startedAt + policy.timeouts.attempt);
    const shareMs = silenceShareMs(options.deadline - this.startedAt);
    this.shortestMs = Math.max(1, Math.min(this.connectMs, this.headersMs, this.firstContentMs, this.idleMs, shareMs, REVIEW_MS));
    const hold = options.isOnward ? null : options.target.quality;
    this.#form = new ChatAnswerForm(options.request.facts, options.target.policy.stream.maxEventSize, hold);
    this.#guard = new AnswerGuard(clock, this.#form, this, this, options.owner.held);
  }

  get facts(): AnswerFacts {
    return this.#guard.facts;
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
    return (this.#upstreamId = id === null ? null : maskText(id, this.options.target.state.credential));
  }

  /** True once the whole answer is here. */
  get isComplete(): boolean {
    return this.#guard.isComplete;
  }

  /** Sends; resolves when there is a candidate, a failure, or it was cancelled. */
  run(transport: Transport): Promise<void> {
    if (this.cancelled) return Promise.resolve();
    return new Promise((resolve) => {
      this.#decide = resolve;
      const { request, target } = this.options;
      this.#upstream = transport.send(
        {
          origin: target.state.origin,
          path: target.state.basePath + request.path,
          method: request.method,
          headers: headersOf(this.options),
          body: bodyOf(this.options),
          connectTimeoutMs: this.connectMs,
        },
        this.#guard,
      );
    });
  }

  /** A complete answer as one JSON text, to be judged before it is taken. */
  wholeAnswer(): Uint8Array {
    const held = this.#guard.held.peek();
    return this.#form.wants === 'stream' ? this.#form.toPlain(held) : held;
  }

  /** Puts another JSON text in the place of a complete answer that has not been taken. */
  replaceAnswer(answer: Uint8Array): void {
    this.#guard.held.replace(this.#form.wants === 'stream' ? this.#form.toStream(answer) : answer);
  }

  /** Somebody wants the answer for longer than the request that it was made for. */
  raiseDeadline(deadline: Instant): void {
    if (this.firstContentAt !== null) return;
    this.attemptEnds = Math.min(deadline, this.startedAt + this.options.target.policy.timeouts.attempt);
  }

  /** Takes the candidate: what was held comes back, the rest goes to `consumer`. */
  take(consumer: AnswerConsumer): readonly Uint8Array[] {
    this.#consumer = consumer;
    return this.#masked(this.#guard.take());
  }

  /** Nobody wants a complete answer. */
  drop(): void {
    this.#guard.held.take();
  }

  /** Takes a complete answer, in one piece. */
  takeWhole(): Uint8Array {
    const pieces = this.take(NOBODY);
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  /** After `take`: tells the end if it is here already. */
  tellEndIfComplete(): void {
    this.#guard.tellEndIfComplete();
  }

  pause(): void {
    this.#setUnread(true);
    this.#callerBehind = true;
    this.#guard.setPaused(true);
    this.#upstream?.pause();
  }

  resume(): void {
    this.#setUnread(false);
    this.#callerBehind = false;
    this.#guard.setPaused(false);
    if (!this.#decoderFull) this.#upstream?.resume();
  }

  /** A stream that its caller does not read holds no learned place at the target. */
  #setUnread(isUnread: boolean): void {
    const { target, permit } = this.options;
    if (!permit.isOpen) return;
    const { concurrency } = target.state;
    concurrency.setUnread(this.#clock.now(), permit.ticketOf(concurrency) ?? 0, isUnread);
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
    return this.options.target.state.silence.quantileMs(this.#call, NEARLY_ALL) ?? 0;
  }

  shorter(now: Instant, sentAt: Instant, phase: 'headers' | 'first_content'): WatchLimit {
    const { timeouts } = this.options.target.policy;
    // A plain answer has its content with its headers: what is set for these holds for both.
    const isSet =
      (phase === 'first_content' && timeouts.firstContent !== 'auto') ||
      ((phase === 'headers' || !this.#call.stream) && timeouts.headers !== 'auto');
    if (isSet || !this.options.owner.hasOtherAtHand(this.options.target.state.name, now)) return { at: Infinity, kind: 'timeout' };
    const shareAt = this.startedAt + silenceShareMs(this.options.deadline - this.startedAt);
    const slowAt = sentAt + this.options.target.state.silence.slowAfterMs(this.#call);
    return slowAt < shareAt ? { at: slowAt, kind: 'slow' } : { at: shareAt, kind: 'timeout' };
  }

  onSent(): void {
    this.sent = true;
  }

  onCandidate(): void {
    this.firstContentAt = this.#guard.held.since ?? this.#clock.now();
    this.#isAwaited = false;
    this.options.target.state.firstContent.answered(this.#kind, this.firstContentAt, this.startedAt);
    this.options.target.state.silence.record(this.#call, this.firstContentAt - this.#guard.sentAt);
    this.#settleDecision();
  }

  onPieces(pieces: readonly Uint8Array[]): void {
    this.#consumer!.onPieces(this.#masked(pieces));
  }

  onEnd(): void {
    this.#consumer!.onEnd();
  }

  onThrown(error: unknown, isOver: boolean): void {
    if (isOver && this.#consumer !== null) this.#consumer.onThrown(error);
    else this.options.owner.warn(error);
  }

  onFailure(found: Failure): void {
    const failure = maskFailure(found, this.options.target.state.credential);
    this.failure = failure;
    this.#stop();
    if (this.#consumer !== null) this.#consumer.onFailure(failure);
    else this.#settleDecision();
  }

  /** Pieces of JSON and events hold whole values, so an echoed key stands in one of them. Bytes we don't read stay as they are. */
  #masked(pieces: readonly Uint8Array[]): readonly Uint8Array[] {
    const { credential } = this.options.target.state;
    if (credential.secrets.length === 0 || this.options.request.facts.operation === 'bytes') return pieces;
    return maskPieces(pieces, credential);
  }

  #stop(): void {
    this.#guard.stop();
    this.#upstream?.abort();
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    this.options.target.state.firstContent.gaveUp(this.#kind, this.#clock.now(), this.startedAt);
  }

  #settleDecision(): void {
    this.#decide?.();
    this.#decide = null;
  }
}

function bodyOf(options: AttemptOptions): Uint8Array | null {
  const { request, target, drop } = options;
  const { facts, body } = request;
  if (facts.operation === 'bytes') {
    if (body.bytes.byteLength === 0) return null;
    return facts.model === '' ? body.bytes : replaceModel(body.contentType, body.bytes, target.state.model);
  }
  return encodeRequest(body, {
    model: target.state.model,
    set: target.set,
    drop: drop.length === 0 ? target.drop : [...target.drop, ...drop],
    askUsage: facts.stream && !facts.wantsUsage && target.state.includeUsage,
  });
}

function headersOf({ request, target }: AttemptOptions): readonly string[] {
  const { state } = target;
  const isCaller = state.credential.auth === 'caller';
  const headers = [...state.headers];
  if (request.body.bytes.byteLength > 0) headers.push('content-type', request.body.contentType ?? 'application/json');
  if (state.credential.auth !== 'caller') for (const part of state.credential.auth) headers.push(part);
  else if (request.callerCredential !== null) headers.push('authorization', `Bearer ${request.callerCredential}`);
  for (let i = 0; i < request.forwardHeaders.length; i += 2) {
    const name = request.forwardHeaders[i]!;
    if (isCaller || !ACCOUNT_HEADERS.has(name)) headers.push(name, request.forwardHeaders[i + 1]!);
  }
  return headers;
}
