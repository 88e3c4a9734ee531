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
import type { RequestRun } from '../run.ts';
import type { StalledReader } from './stalled-readers.ts';
import { settleAnswered, settleUntaken } from '../settle/settle-response.ts';
import { settleFailure, tellAttemptEnd } from '../retry/record-failure.ts';

/**
 * A caller that takes not one byte of its answer for so long is taken for gone, in milliseconds. Its own limit: the provider's silence
 * says nothing of callers, and a person may stop a pipe for a while, a laptop may sleep.
 */
const STALLED_CALLER_MS = 120_000;

/** What is told in the end: how to go on, should `run.broken` be set; null: nobody is to. */
export async function relay(run: RequestRun, attempt: Attempt): Promise<Continuation | null> {
  const { clock, events } = run.engine;
  const { target, number, race } = attempt.options;
  run.firstContentMs = clock.now() - run.startedAt;
  const continuation = Continuation.for(run, attempt);
  const relaying = new AnswerRelay(run, attempt, continuation);
  try {
    events.emit({ type: 'committed', requestId: run.request.id, at: clock.now(), target: target.state.name, attempt: number, race });
    if (run.isOver) relaying.leave();
    else if (attempt.isComplete && !run.downstream.isStarted) answerWhole(run, attempt);
    else await relaying.run();
    return continuation;
  } catch (error) {
    giveBack(run, attempt);
    throw error;
  }
}

/** Goes on with an answer that is committed and broke off, as far as the seam between them lets it. */
export async function relayOnward(run: RequestRun, attempt: Attempt, continuation: Continuation): Promise<void> {
  const relaying = new AnswerRelay(run, attempt, continuation);
  try {
    if (run.isOver) return relaying.leave();
    await relaying.runOnward();
  } catch (error) {
    giveBack(run, attempt);
    throw error;
  }
}

function giveBack(run: RequestRun, attempt: Attempt): void {
  run.relaying = null;
  attempt.cancel();
  settleUntaken(run, attempt);
  if (!attempt.endTold) tellAttemptEnd(run, attempt, 'cancelled', 'cancelled', null);
}

/** The whole answer is here: one head, one body, with its length. */
function answerWhole(run: RequestRun, attempt: Attempt): void {
  const body = attempt.takeWhole();
  settleSuccess(run, attempt);
  const headers = answerHeaders(run, attempt);
  if (!run.request.facts.stream) addCostHeader(headers, run);
  if (attempt.status !== 204) headers.push('content-length', String(body.byteLength));
  run.downstream.answer(attempt.status, headers, body, attempt.facts.usage, isForOneOnly(attempt));
  run.succeed(attempt);
}

/** It stands in for an answer, or went out before all was judged that is asked of it: it is kept for nobody else. */
function isForOneOnly({ options, isUnjudged }: Attempt): boolean {
  return options.target.state.standsIn || isUnjudged;
}

function settleSuccess(run: RequestRun, attempt: Attempt): void {
  settleAnswered(run, attempt);
  tellAttemptEnd(run, attempt, 'success', null, null);
}

class AnswerRelay implements StalledReader {
  readonly #run: RequestRun;
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

  constructor(run: RequestRun, attempt: Attempt, continuation: Continuation | null) {
    this.#run = run;
    this.#attempt = attempt;
    this.#continuation = continuation;
  }

  /** Resolves when the answer has ended, whichever way. */
  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#begin(resolve, reject);
      const { downstream, request } = this.#run;
      const isEventStream = request.facts.stream && request.facts.operation !== 'bytes';
      const comment = downstream.isStarted ? attemptComment(this.#run, this.#attempt) : '';
      downstream.commit(this.#attempt.status, answerHeaders(this.#run, this.#attempt), isEventStream, comment);
      this.onPieces(this.#attempt.take(this));
      this.#attempt.tellEndIfComplete();
    });
  }

  /** The same behind an answer that broke off. */
  runOnward(): Promise<void> {
    this.#isOnward = true;
    return new Promise((resolve, reject) => {
      this.#begin(resolve, reject);
      this.onPieces(this.#attempt.take(this));
      this.#attempt.tellEndIfComplete();
    });
  }

  #begin(resolve: () => void, reject: (error: unknown) => void): void {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#run.relaying = this;
  }

  onPieces(pieces: readonly Uint8Array[]): void {
    if (this.#continuation === null) return this.#write(pieces);
    if (this.#over) return;
    const { passage } = this.#continuation;
    const passed = passage.pass(pieces);
    if (passage.refused === null) this.#write(passed);
    else this.#refuse(this.#continuation, passage.refused);
  }

  #write(pieces: readonly Uint8Array[]): void {
    if (this.#over || pieces.length === 0 || this.#run.downstream.write(pieces) || this.#stall !== null || this.#over) return;
    this.#attempt.pause();
    this.#run.downstream.readerMoved(); // from here on
    this.#movedLately = false;
    this.#watchCaller();
    this.#run.engine.stalled.add(this);
    this.#run.downstream.onDrain(() => this.#drained());
  }

  onEnd(): void {
    this.#decide();
    settleSuccess(this.#run, this.#attempt);
    this.#run.downstream.end(this.#attempt.facts.usage, this.#isOnward || isForOneOnly(this.#attempt));
    this.#run.succeed(this.#attempt);
    this.#resolve();
  }

  onFailure(failure: Failure): void {
    this.#decide();
    const { options, facts } = this.#attempt;
    const judgement = judge(failure);
    const reason = failure.kind === 'timeout' ? 'stalled' : failure.kind === 'cut' ? 'interrupted' : judgement.reason;
    settleFailure(this.#run, this.#attempt, failure, judgement, { usage: facts.usage, health: judgement.health });
    tellAttemptEnd(this.#run, this.#attempt, judgement.verdict, reason, failure);
    const code = failure.kind === 'timeout' ? 'stream_stalled' : 'stream_interrupted';
    const error = new BreakwaterError(code, `${options.target.state.name} broke off its answer: ${failure.message}`);
    if (this.#continuation?.tryBreak(this.#attempt, failure, judgement, error) !== true) {
      this.#run.downstream.fail(error);
      this.#run.breakOff('interrupted', this.#attempt.status, code, this.#attempt);
    }
    this.#resolve();
  }

  onThrown(error: unknown): void {
    this.#decide();
    this.#reject(error);
  }

  get client(): string {
    return holderOf(this.#run.request.client);
  }

  get permit(): Permit {
    return this.#attempt.options.permit;
  }

  hasMoved(): boolean {
    const hasMoved = this.#run.downstream.readerMoved();
    if (hasMoved) this.#movedLately = true;
    return hasMoved;
  }

  giveWay(error: BreakwaterError): void {
    this.#run.note(error.message);
    // Of a response whose every choice has ended only the stream's own end is missing.
    if (this.#attempt.hasSaidAll) return this.#attempt.expire();
    this.leave(error);
  }

  #watchCaller(): void {
    this.#stall = this.#run.engine.clock.schedule(STALLED_CALLER_MS, () => {
      const hasMoved = this.hasMoved() || this.#movedLately;
      this.#movedLately = false;
      if (hasMoved) return this.#watchCaller();
      this.#run.note(`the caller took nothing of its answer for ${STALLED_CALLER_MS} ms and was let go`);
      this.leave();
    });
  }

  /** It was asked to go on with an answer, and does something else. */
  #refuse(continuation: Continuation, why: SpliceRefusal): void {
    this.#decide();
    this.#attempt.cancel();
    settleUntaken(this.#run, this.#attempt);
    tellAttemptEnd(this.#run, this.#attempt, 'switch', 'quality', null);
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
    const { stopError } = this.#run;
    this.#attempt.cancel();
    settleUntaken(this.#run, this.#attempt);
    tellAttemptEnd(this.#run, this.#attempt, 'cancelled', 'cancelled', null);
    const told = stopError ?? error;
    if (told !== null) this.#run.downstream.fail(told);
    else this.#run.downstream.leave();
    if (stopError !== null) this.#run.breakOff('interrupted', this.#attempt.status, stopError.code, this.#attempt);
    else this.#run.breakOff('cancelled', 499, null, this.#attempt);
    this.#resolve();
  }

  /** How it ends is known: who hears of it, and leaves or stops the gateway then, comes too late to change that. */
  #decide(): void {
    this.#over = true;
    this.#endStall();
    this.#run.relaying = null;
  }

  #endStall(): void {
    if (this.#stall === null) return;
    this.#stall.cancel();
    this.#stall = null;
    this.#run.engine.stalled.remove(this);
  }
}
