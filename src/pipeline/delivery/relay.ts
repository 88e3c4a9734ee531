/** Commits a candidate and carries its answer to the caller, with back-pressure both ways. */
import type { Timer } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { Failure } from '../../core/facts.ts';
import type { Permit } from '../../core/permit.ts';
import type { SpliceRefusal } from '../../policy/continuation/splice.ts';
import { judge } from '../../policy/verdict.ts';
import { addCostHeader, answerHeaders, attemptComment } from './response-headers.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { Continuation } from './continuation/continuation.ts';
import { holderOf } from '../request/gateway-request.ts';
import type { Output } from './output.ts';
import type { StalledReader } from './stalled-readers.ts';
import { settleAnswered, settleUntaken } from '../settle/settle-response.ts';
import { settleFailure } from '../retry/record-failure.ts';
import { emitAttemptEnd } from '../settle/attempt-end.ts';

/**
 * A caller that takes not one byte of its answer for so long is taken for gone, in milliseconds. Its own limit: the provider's silence
 * says nothing of callers, and a person may stop a pipe for a while, a laptop may sleep.
 */
const STALLED_CALLER_MS = 120_000;

/** What is told in the end: how to go on, should `output.retry.broken` be set; null: nobody is to. */
export async function relay(output: Output, attempt: Attempt): Promise<Continuation | null> {
  const { clock, events } = output.active.engine;
  const { target, number, race } = attempt.options;
  output.firstContentMs = clock.now() - output.active.startedAt;
  const continuation = Continuation.for(output, attempt);
  const relaying = new AnswerRelay(output, attempt, continuation);
  try {
    events.emit({
      type: 'committed',
      requestId: output.active.request.id,
      at: clock.now(),
      target: target.state.name,
      attempt: number,
      race,
    });
    if (output.active.isOver) relaying.leave();
    else if (attempt.isComplete && !output.downstream.isStarted) answerWhole(output, attempt);
    else await relaying.run();
    return continuation;
  } catch (error) {
    giveBack(output, attempt);
    throw error;
  }
}

/** Goes on with an answer that is committed and broke off, as far as the seam between them lets it. */
export async function relayOnward(output: Output, attempt: Attempt, continuation: Continuation): Promise<void> {
  const relaying = new AnswerRelay(output, attempt, continuation);
  try {
    if (output.active.isOver) return relaying.leave();
    await relaying.runOnward();
  } catch (error) {
    giveBack(output, attempt);
    throw error;
  }
}

function giveBack(output: Output, attempt: Attempt): void {
  output.active.relaying = null;
  attempt.cancel();
  settleUntaken(output.active, attempt);
  if (!attempt.isEndEmitted) emitAttemptEnd(output.active, attempt, 'cancelled', 'cancelled', null);
}

/** The whole answer is here: one head, one body, with its length. */
function answerWhole(output: Output, attempt: Attempt): void {
  const body = attempt.takeWhole();
  settleSuccess(output, attempt);
  const headers = answerHeaders(output, attempt);
  if (!output.active.request.facts.stream) addCostHeader(headers, output);
  if (attempt.status !== 204) headers.push('content-length', String(body.byteLength));
  output.downstream.answer(attempt.status, headers, body, attempt.facts.usage, isForOneOnly(attempt));
  output.succeed(attempt);
}

/** It stands in for an answer, or went out before all was judged that is asked of it: it is kept for nobody else. */
function isForOneOnly({ options, isUnjudged }: Attempt): boolean {
  return options.target.state.standsIn || isUnjudged;
}

function settleSuccess(output: Output, attempt: Attempt): void {
  settleAnswered(output.active, attempt);
  emitAttemptEnd(output.active, attempt, 'success', null, null);
}

class AnswerRelay implements StalledReader {
  readonly #output: Output;
  readonly #attempt: Attempt;
  /** Null: whatever comes goes down, and nobody goes on with it. */
  readonly #continuation: Continuation | null;
  /** While its caller is behind. */
  #stall: Timer | null = null;
  /** Its caller took something since `STALLED_CALLER_MS` began. */
  #movedLately = false;
  #over = false;
  /** It goes on with what another one began. */
  #isOnward = false;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(output: Output, attempt: Attempt, continuation: Continuation | null) {
    this.#output = output;
    this.#attempt = attempt;
    this.#continuation = continuation;
  }

  /** Resolves when the answer has ended, whichever way. */
  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#begin(resolve, reject);
      const { downstream, active } = this.#output;
      const { request } = active;
      const isEventStream = request.facts.stream && request.facts.operation !== 'bytes';
      const comment = downstream.isStarted ? attemptComment(this.#output, this.#attempt) : '';
      downstream.commit(this.#attempt.status, answerHeaders(this.#output, this.#attempt), isEventStream, comment);
      this.onChunks(this.#attempt.take(this));
      this.#attempt.emitEndIfComplete();
    });
  }

  /** The same behind an answer that broke off. */
  runOnward(): Promise<void> {
    this.#isOnward = true;
    return new Promise((resolve, reject) => {
      this.#begin(resolve, reject);
      this.onChunks(this.#attempt.take(this));
      this.#attempt.emitEndIfComplete();
    });
  }

  #begin(resolve: () => void, reject: (error: unknown) => void): void {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#output.active.relaying = this;
  }

  onChunks(pieces: readonly Uint8Array[]): void {
    if (this.#continuation === null) return this.#write(pieces);
    if (this.#over) return;
    const { passage } = this.#continuation;
    const passed = passage.pass(pieces);
    if (passage.refused === null) this.#write(passed);
    else this.#refuse(this.#continuation, passage.refused);
  }

  #write(pieces: readonly Uint8Array[]): void {
    if (this.#over || pieces.length === 0 || this.#output.downstream.write(pieces) || this.#stall !== null || this.#over) return;
    this.#attempt.pause();
    this.#output.downstream.readerMoved(); // from here on
    this.#movedLately = false;
    this.#watchCaller();
    this.#output.engine.stalled.add(this);
    this.#output.downstream.onDrain(() => this.#drained());
  }

  onEnd(): void {
    this.#decide();
    settleSuccess(this.#output, this.#attempt);
    this.#output.downstream.end(this.#attempt.facts.usage, this.#isOnward || isForOneOnly(this.#attempt));
    this.#output.succeed(this.#attempt);
    this.#resolve();
  }

  onFailure(failure: Failure): void {
    this.#decide();
    const { options, facts } = this.#attempt;
    const judgement = judge(failure);
    const reason = failure.kind === 'timeout' ? 'stalled' : failure.kind === 'cut' ? 'interrupted' : judgement.reason;
    settleFailure(this.#output.retry, this.#attempt, failure, judgement, { usage: facts.usage, health: judgement.health });
    emitAttemptEnd(this.#output.active, this.#attempt, judgement.verdict, reason, failure);
    const code = failure.kind === 'timeout' ? 'stream_stalled' : 'stream_interrupted';
    const error = new BreakwaterError(code, `${options.target.state.name} broke off its answer: ${failure.message}`);
    if (this.#continuation?.tryBreak(this.#attempt, failure, judgement, error) !== true) {
      this.#output.downstream.fail(error);
      this.#output.breakOff('interrupted', this.#attempt.status, code, this.#attempt);
    }
    this.#resolve();
  }

  onThrown(error: unknown): void {
    this.#decide();
    this.#reject(error);
  }

  get client(): string {
    return holderOf(this.#output.active.request.client);
  }

  get permit(): Permit {
    return this.#attempt.options.permit;
  }

  hasMoved(): boolean {
    const hasMoved = this.#output.downstream.readerMoved();
    if (hasMoved) this.#movedLately = true;
    return hasMoved;
  }

  giveWay(error: BreakwaterError): void {
    this.#output.active.note(error.message);
    // Of a response whose every choice has ended only the stream's own end is missing.
    if (this.#attempt.hasSaidAll) return this.#attempt.expire();
    this.leave(error);
  }

  #watchCaller(): void {
    this.#stall = this.#output.active.engine.clock.schedule(STALLED_CALLER_MS, () => {
      const hasMoved = this.hasMoved() || this.#movedLately;
      this.#movedLately = false;
      if (hasMoved) return this.#watchCaller();
      this.#output.active.note(`the caller took nothing of its answer for ${STALLED_CALLER_MS} ms and was let go`);
      this.leave();
    });
  }

  /** It was asked to go on with an answer, and does something else. */
  #refuse(continuation: Continuation, why: SpliceRefusal): void {
    this.#decide();
    this.#attempt.cancel();
    settleUntaken(this.#output.active, this.#attempt);
    emitAttemptEnd(this.#output.active, this.#attempt, 'switch', 'quality', null);
    continuation.noteRefusal(this.#attempt, why);
    this.#resolve();
  }

  #drained(): void {
    if (this.#over) return;
    this.#endStall();
    this.#attempt.resume();
  }

  /** The caller has left, is let go with this error, or the gateway closes. */
  leave(error: BreakwaterError | null = null): void {
    if (this.#over) return;
    this.#decide();
    const { stopError } = this.#output.active;
    this.#attempt.cancel();
    settleUntaken(this.#output.active, this.#attempt);
    emitAttemptEnd(this.#output.active, this.#attempt, 'cancelled', 'cancelled', null);
    const told = stopError ?? error;
    if (told !== null) this.#output.downstream.fail(told);
    else this.#output.downstream.leave();
    if (stopError !== null) this.#output.breakOff('interrupted', this.#attempt.status, stopError.code, this.#attempt);
    else this.#output.breakOff('cancelled', 499, null, this.#attempt);
    this.#resolve();
  }

  /** How it ends is known: who hears of it, and leaves or stops the gateway then, comes too late to change that. */
  #decide(): void {
    this.#over = true;
    this.#endStall();
    this.#output.active.relaying = null;
  }

  #endStall(): void {
    if (this.#stall === null) return;
    this.#stall.cancel();
    this.#stall = null;
    this.#output.engine.stalled.remove(this);
  }
}
