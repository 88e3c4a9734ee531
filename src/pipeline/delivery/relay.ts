/** Commits a candidate and relays its response to the caller, with back-pressure both ways. */
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
import { settleCompleted, settleCutOff, settleUnused, usageWhenCutOff } from '../settle/settle-response.ts';
import { settleFailure } from '../retry/record-failure.ts';
import { emitAttemptEnd } from '../settle/attempt-end.ts';

/**
 * A caller that reads nothing for this long is disconnected, in milliseconds. Longer than upstream silence limits, as a person may suspend a
 * pipe or a laptop for a while.
 */
const STALLED_CALLER_MS = 120_000;

/** Returns the continuation to use if `output.retry.broken` is set afterwards; null: none. A complete response is sent without a promise. */
export function relay(output: Output, attempt: Attempt): Continuation | null | Promise<Continuation | null> {
  const { active } = output;
  const { clock, events } = active.engine;
  const { target, number, race } = attempt.options;
  const now = clock.now();
  output.firstContentMs = now - active.startedAt;
  const continuation = Continuation.for(output, attempt);
  try {
    active.spending.deliver(number);
    events.emit({ type: 'committed', requestId: active.request.id, at: now, target: target.state.name, attempt: number, race });
    if (!active.isOver && (!attempt.isComplete || output.downstream.isStarted)) return relayAsItArrives(output, attempt, continuation);
    if (active.isOver) new ResponseRelay(output, attempt, continuation).leave();
    else respondWhole(output, attempt);
    return continuation;
  } catch (error) {
    giveBack(output, attempt);
    throw error;
  }
}

async function relayAsItArrives(output: Output, attempt: Attempt, continuation: Continuation | null): Promise<Continuation | null> {
  try {
    await new ResponseRelay(output, attempt, continuation).run();
    return continuation;
  } catch (error) {
    giveBack(output, attempt);
    throw error;
  }
}

/** Relays a continuation of a committed response that broke off, as far as the splice filter passes it. */
export async function relayContinuation(output: Output, attempt: Attempt, continuation: Continuation): Promise<void> {
  const relaying = new ResponseRelay(output, attempt, continuation);
  try {
    if (output.active.isOver) return relaying.leave();
    await relaying.runContinuation();
  } catch (error) {
    giveBack(output, attempt);
    throw error;
  }
}

function giveBack(output: Output, attempt: Attempt): void {
  const { active } = output;
  active.relaying = null;
  attempt.cancel();
  settleUnused(active, attempt);
  if (!attempt.isEndEmitted) emitAttemptEnd(active, attempt, 'cancelled', 'cancelled', null);
}

/** Sends a complete response at once, with its length. */
function respondWhole(output: Output, attempt: Attempt): void {
  const body = attempt.takeWhole();
  settleSuccess(output, attempt);
  const headers = answerHeaders(output, attempt);
  if (!output.active.request.facts.stream) addCostHeader(headers, output);
  if (attempt.status !== 204) headers.push('content-length', String(body.byteLength));
  output.downstream.respond(attempt.status, headers, body, attempt.facts.usage, isUncacheable(attempt));
  output.succeed(attempt);
}

/** True if the response must not be cached: it is a substitute, or was committed before all quality checks. */
function isUncacheable({ options, isUnchecked }: Attempt): boolean {
  return options.target.state.standsIn || isUnchecked;
}

function settleSuccess(output: Output, attempt: Attempt): void {
  const { active } = output;
  settleCompleted(active, attempt);
  emitAttemptEnd(active, attempt, 'success', null, null);
}

class ResponseRelay implements StalledReader {
  readonly #output: Output;
  readonly #attempt: Attempt;
  /** Null: the response is not continued if it breaks off. */
  readonly #continuation: Continuation | null;
  /** Runs while the caller is behind. */
  #stall: Timer | null = null;
  /** The caller has read something since the timer was set. */
  #movedLately = false;
  #over = false;
  /** It continues a response that broke off. */
  #isContinuation = false;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(output: Output, attempt: Attempt, continuation: Continuation | null) {
    this.#output = output;
    this.#attempt = attempt;
    this.#continuation = continuation;
  }

  /** Resolves when the response has ended in any way. */
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

  /** The same for a continuation. */
  runContinuation(): Promise<void> {
    this.#isContinuation = true;
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

  onChunks(chunks: readonly Uint8Array[]): void {
    if (this.#continuation === null) return this.#write(chunks);
    if (this.#over) return;
    const { filter } = this.#continuation;
    const passed = filter.pass(chunks);
    if (filter.refused === null) this.#write(passed);
    else this.#refuse(this.#continuation, filter.refused);
  }

  #write(chunks: readonly Uint8Array[]): void {
    const { downstream, engine } = this.#output;
    if (this.#over || chunks.length === 0 || downstream.write(chunks) || this.#stall !== null || this.#over) return;
    this.#attempt.pause();
    downstream.readerMoved(); // resets it
    this.#movedLately = false;
    this.#watchCaller();
    engine.stalled.add(this);
    downstream.onDrain(() => this.#drained());
  }

  onEnd(): void {
    if (this.#over) return;
    if (this.#continuation !== null) {
      const { filter } = this.#continuation;
      const last = filter.end();
      if (this.#over) return; // a listener of its events has stopped the gateway
      if (filter.refused !== null) return this.#refuse(this.#continuation, filter.refused);
      if (last.length > 0) this.#output.downstream.write(last);
    }
    this.#decide();
    settleSuccess(this.#output, this.#attempt);
    this.#output.downstream.end(this.#attempt.facts.usage, this.#isContinuation || isUncacheable(this.#attempt));
    this.#output.succeed(this.#attempt);
    this.#resolve();
  }

  onFailure(failure: Failure): void {
    if (this.#over) return;
    this.#decide();
    const { active, retry, downstream } = this.#output;
    const { options } = this.#attempt;
    const judgement = judge(failure);
    const reason = failure.kind === 'timeout' ? 'stalled' : failure.kind === 'cut' ? 'interrupted' : judgement.reason;
    settleFailure(retry, this.#attempt, failure, judgement, { usage: usageWhenCutOff(this.#attempt), health: judgement.health });
    emitAttemptEnd(active, this.#attempt, judgement.verdict, reason, failure);
    const code = failure.kind === 'timeout' ? 'stream_stalled' : 'stream_interrupted';
    const error = new BreakwaterError(code, `${options.target.state.name} broke off its response: ${failure.message}`);
    if (this.#continuation?.tryBreak(this.#attempt, failure, judgement, error) !== true) {
      downstream.fail(error);
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

  interrupt(error: BreakwaterError): void {
    this.#output.active.note(error.message);
    // Every choice has ended; only the end of the stream itself is missing.
    if (this.#attempt.choicesEnded) return this.#attempt.expire();
    this.leave(error);
  }

  #watchCaller(): void {
    this.#stall = this.#output.active.engine.clock.schedule(STALLED_CALLER_MS, () => {
      const hasMoved = this.hasMoved() || this.#movedLately;
      this.#movedLately = false;
      if (hasMoved) return this.#watchCaller();
      this.#output.active.note(`the caller read nothing of its response for ${STALLED_CALLER_MS} ms and was disconnected`);
      this.leave();
    });
  }

  /** The attempt does not continue the response. */
  #refuse(continuation: Continuation, why: SpliceRefusal): void {
    this.#decide();
    this.#attempt.cancel();
    settleCutOff(this.#output.active, this.#attempt);
    emitAttemptEnd(this.#output.active, this.#attempt, 'switch', 'quality', null);
    continuation.noteRefusal(this.#attempt, why);
    this.#resolve();
  }

  #drained(): void {
    if (this.#over) return;
    this.#endStall();
    this.#attempt.resume();
  }

  /** The caller has disconnected, is disconnected with this error, or the gateway closes. */
  leave(error: BreakwaterError | null = null): void {
    if (this.#over) return;
    const { active, downstream } = this.#output;
    this.#decide();
    const { stopError } = active;
    this.#attempt.cancel();
    settleCutOff(active, this.#attempt);
    emitAttemptEnd(active, this.#attempt, 'cancelled', 'cancelled', null);
    const reported = stopError ?? error;
    if (reported !== null) downstream.fail(reported);
    else downstream.leave();
    if (stopError !== null) this.#output.breakOff('interrupted', this.#attempt.status, stopError.code, this.#attempt);
    else this.#output.breakOff('cancelled', 499, null, this.#attempt);
    this.#resolve();
  }

  /** Fixes the outcome: a listener that then disconnects or stops the gateway does not change it. */
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
