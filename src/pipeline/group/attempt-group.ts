/**
 * The attempts that run in parallel for one request (docs/hedging.md): one, and a second once the first has been silent for too long. The
 * first to be decided is returned: if it fails, the request continues with the other one; if it has a response, the other one is closed.
 * A second attempt has one of three causes, which differ only in when it starts, where, and which budget it is charged to:
 *
 *   hedge    early, to cut tail latency, where the policy asks for it
 *   probe    the first attempt probes a half-open breaker and is silent for longer than usual
 *   rescue   late, because the first may hang; always on
 */
import type { Instant, Timer } from '../../core/clock.ts';
import type { Failure } from '../../core/facts.ts';
import { hedgeDelayMs, probeRaceDelayMs } from '../../policy/hedge.ts';
import type { RescueBudget } from '../../policy/hedge.ts';
import { createFailure } from '../../wire/failure.ts';
import type { Admitted } from '../admission/admission.ts';
import type { Attempt, AttemptListener } from '../attempt/attempt.ts';
import { beginAttempt, endCancelled } from './begin-attempt.ts';
import { parallelPermit } from './parallel-permit.ts';
import type { RunningAttempts } from '../active/active-request.ts';
import type { RetryState } from '../retry/retry-state.ts';
import { recordFailure } from '../retry/record-failure.ts';

/** A hedge without capacity is tried again after the same delay, but at least this, in milliseconds. */
const HEDGE_RETRY_MIN_MS = 250;

/** A rescue without capacity is tried again after this, in milliseconds. */
const RESCUE_RETRY_MS = 1000;

/** The same for a stand-in, shortly before the deadline. */
const STAND_IN_RETRY_MS = 100;

/** A second attempt planned at the start of the first. */
interface Plan {
  readonly cause: 'hedge' | 'probe';
  readonly delayMs: number;
}

/** Null: no second attempt, except for a rescue. */
function planFor(retry: RetryState, attempt: Attempt): Plan | null {
  const { target, request } = attempt.options;
  const { hedge } = target.policy;
  const isProbe = target.state.breaker.state === 'half-open';
  if (!hedge.enabled && !isProbe) return null;
  // A passed-through request may be for a hundred images. A continuation has a timeout of its own.
  if (request.facts.operation === 'bytes' || retry.broken !== null || retry.attemptsLeft <= 0) return null;
  const usual = (quantile: number): number | null => attempt.usualSilenceMs(quantile);
  const probeMs = isProbe ? probeRaceDelayMs(usual) : null;
  if (probeMs !== null) return { cause: 'probe', delayMs: probeMs };
  const hedgeMs = hedge.enabled ? hedgeDelayMs(hedge.delay, usual) : null;
  return hedgeMs === null ? null : { cause: 'hedge', delayMs: hedgeMs };
}

export class AttemptGroup implements RunningAttempts, AttemptListener {
  readonly #retry: RetryState;
  readonly #first: Attempt;
  readonly #plan: Plan | null;
  #timer: Timer | null = null;
  /** A repaired retry of a refused attempt, at the same target, so not a fallback. */
  #repaired: Attempt | null = null;
  /** Undecided, the oldest first; at most two. */
  #running: Attempt[] = [];
  /** Decided while the request was handling the other one. */
  #decided: Attempt[] = [];
  #resolve: ((attempt: Attempt | null) => void) | null = null;
  #reject: (error: unknown) => void = () => {};

  constructor(retry: RetryState, first: Attempt) {
    this.#retry = retry;
    this.#first = first;
    this.#plan = planFor(retry, first);
    retry.active.group = this;
  }

  /** Sends the first attempt; resolves as `next` does. */
  start(): Promise<Attempt | null> {
    const next = this.#wait();
    if (this.#plan !== null) this.#setTimer(this.#plan.delayMs);
    this.#send(this.#first);
    return next;
  }

  /** The next attempt to be decided, as a candidate or a failure; null: the request is over, and none is running. */
  next(): Promise<Attempt | null> {
    const attempt = this.#decided.shift();
    if (attempt === undefined) {
      const next = this.#wait();
      this.onSilence();
      return next;
    }
    if (!attempt.isComplete) attempt.resume();
    this.#endIfEmpty();
    return Promise.resolve(attempt);
  }

  join(admitted: Admitted): void {
    const attempt = beginAttempt(this.#retry, admitted, null);
    if (attempt === null) return;
    this.#repaired = attempt;
    this.#send(attempt);
  }

  /** The response of `winner` is used: closes the other attempt, if there is one. */
  win(winner: Attempt): void {
    const now = this.#retry.active.engine.clock.now();
    const hasTimedOut = this.#first.overdue(now) === 'timeout';
    const isParallel = winner !== this.#first && winner !== this.#repaired;
    // In parallel with a repaired retry, the reason is the refusal before it.
    if (isParallel && this.#repaired === null) this.#retry.fallback ??= hasTimedOut ? 'timeout' : 'slow';
    this.#close((attempt) => this.#lose(attempt, winner, now));
  }

  raiseDeadline(deadline: Instant): void {
    for (const attempt of this.#running) attempt.raiseDeadline(deadline);
  }

  /** The request is over. */
  leave(): void {
    this.#close((attempt) => {
      attempt.cancel();
      endCancelled(this.#retry, attempt);
    });
  }

  get silent(): readonly Attempt[] {
    return this.#running;
  }

  onSilence(): void {
    try {
      this.#rescue();
    } catch (error) {
      this.#retry.active.warn(error); // running attempts continue
    }
  }

  /** May be called from within an upstream callback; with two attempts, deferring avoids evaluating the other one too early. */
  onDecided(attempt: Attempt): void {
    if (this.#running.length === 1 && this.#resolve !== null) this.#decide(attempt);
    else queueMicrotask(() => this.#decide(attempt));
  }

  #wait(): Promise<Attempt | null> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  #send(attempt: Attempt): void {
    this.#running.push(attempt);
    try {
      const { engine, request } = this.#retry.active;
      const { delivered } = request;
      attempt.send(delivered?.target === attempt.options.target ? delivered.transport : engine.transport, this);
    } catch (error) {
      this.#fail(attempt, error);
    }
  }

  #decide(attempt: Attempt): void {
    if (!this.#removeRunning(attempt)) return;
    if (this.#resolve === null) {
      this.#decided.push(attempt);
      if (!attempt.isComplete) attempt.pause(); // not taken yet: bounds the memory that it holds
      return;
    }
    this.#endIfEmpty();
    this.#deliver(attempt);
  }

  /** An internal error prevented the send. The other attempt may still respond. */
  #fail(attempt: Attempt, error: unknown): void {
    if (!this.#removeRunning(attempt)) return;
    attempt.cancel();
    endCancelled(this.#retry, attempt);
    const isLast = this.#running.length + this.#decided.length === 0;
    this.#endIfEmpty();
    if (isLast && this.#resolve !== null) this.#reject(error);
    else this.#retry.active.warn(error);
  }

  #removeRunning(attempt: Attempt): boolean {
    const index = this.#running.indexOf(attempt);
    if (index < 0) return false;
    this.#running.splice(index, 1);
    endRescue(attempt);
    if (attempt === this.#first) this.#stopTimer();
    return true;
  }

  #deliver(attempt: Attempt | null): void {
    const resolve = this.#resolve;
    this.#resolve = null;
    resolve?.(attempt);
  }

  #setTimer(delayMs: number): void {
    this.#timer = this.#retry.active.engine.clock.schedule(delayMs, () => {
      this.#timer = null;
      try {
        this.#followPlan(this.#plan!);
      } catch (error) {
        this.#retry.active.warn(error); // the first attempt continues
      }
    });
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** The first attempt has been silent for the planned delay. */
  #followPlan({ cause, delayMs }: Plan): void {
    const retry = this.#retry;
    const { engine, source, isOver } = retry.active;
    if (isOver || !this.#first.isSilent || this.#running.length > 1 || retry.attemptsLeft <= 0) return;
    const { target } = this.#first.options;
    const now = engine.clock.now();
    const { hedgeBudget, retryBudget } = target.state;
    const isHedge = cause === 'hedge';
    const isAllowed = !isHedge || (hedgeBudget.allows && retryBudget.allows(now, source.client));
    const admitted = isAllowed ? parallelPermit(retry, target, cause) : null;
    if (admitted === null) return this.#setTimer(Math.max(HEDGE_RETRY_MIN_MS, delayMs));
    if (isHedge) {
      hedgeBudget.take();
      retryBudget.take(now, source.client);
    }
    this.#begin(admitted, cause, this.#first, null);
  }

  #begin(admitted: Admitted, cause: 'hedge' | 'probe' | 'rescue', silent: Attempt, budget: RescueBudget | null): void {
    const retry = this.#retry;
    const attempt = beginAttempt(retry, admitted, cause);
    if (attempt === null) return;
    if (budget !== null) {
      budget.take();
      attempt.rescueBudget = budget;
    }
    this.#send(attempt);
    const silentMs = Math.round(retry.active.engine.clock.now() - silent.startedAt);
    retry.active.log(`silent for ${silentMs} ms: a second attempt runs in parallel (${cause})`, silent.options.target);
  }

  /**
   * Every running attempt has been silent for too long: another target is tried in parallel, or in place of the older of two. If it can't
   * start at once and the attempt has used up its share of the deadline, the attempt fails, so that the request can wait elsewhere.
   */
  #rescue(): void {
    const retry = this.#retry;
    const now = retry.active.engine.clock.now();
    const oldest = this.#running[0];
    const late = this.#running.filter((attempt) => attempt.overdue(now) !== null);
    // While one of two still has time, no rescue starts.
    const isDue = late.length === this.#running.length;
    for (const attempt of late) attempt.recheckAt(isDue || this.#resolve === null ? now + RESCUE_RETRY_MS : Infinity);
    if (oldest === undefined || !isDue || this.#resolve === null || retry.active.isOver) return;
    const { target } = oldest.options;
    const alternative = retry.alternativeTo(target, now);
    if (alternative === 'none' || (alternative === 'stand-in' && now < retry.standInStart)) return oldest.recheckAt(-Infinity);
    const mustYield = oldest.mustYield(now);
    // Of two, the older is replaced; the new attempt runs in parallel with the younger.
    const { rescueBudget } = this.#running.at(-1)!.options.target.state;
    const admitted =
      mustYield || rescueBudget.allows ? parallelPermit(retry, target, alternative === 'stand-in' ? 'stand-in' : 'rescue') : null;
    if (admitted === null) {
      // An attempt within its usual time may still respond.
      if (alternative === 'stand-in' && oldest.overdue(now) !== 'slow') oldest.recheckAt(now + STAND_IN_RETRY_MS);
      else if (mustYield && this.#running.length === 1 && !oldest.isInUsualTime(now) && retry.alternativeTo(target, now, true) !== 'none')
        oldest.expire();
      return;
    }
    if (this.#running.length > 1) this.#replace(oldest, now);
    for (const attempt of this.#running) attempt.recheckAt(Infinity);
    this.#begin(admitted, 'rescue', oldest, rescueBudget);
  }

  /** Cancels the attempt that has been silent longest. */
  #replace(attempt: Attempt, now: Instant): void {
    const why = attempt.overdue(now) ?? 'slow';
    this.#removeRunning(attempt);
    attempt.cancel();
    recordFailure(this.#retry, attempt, silenceFailure(attempt, why, now));
  }

  #close(end: (attempt: Attempt) => void): void {
    this.#stopTimer();
    const remaining = [...this.#running, ...this.#decided];
    this.#running = [];
    this.#decided = [];
    this.#endIfEmpty();
    for (const attempt of remaining) endRescue(attempt);
    for (const attempt of remaining) end(attempt);
    this.#deliver(null);
  }

  #endIfEmpty(): void {
    if (this.#running.length + this.#decided.length === 0 && this.#retry.active.group === this) this.#retry.active.group = null;
  }

  /**
   * A losing attempt shows nothing about its target unless it has failed, as it may have been about to respond. There are two exceptions:
   * one silent for too long that lost to a later attempt counts as a hang; and a silent probe counts as failed, as otherwise every request
   * would become the next probe and wait for it as long.
   */
  #lose(attempt: Attempt, winner: Attempt, now: Instant): void {
    if (attempt.failure !== null) return void recordFailure(this.#retry, attempt, attempt.failure);
    const why = winner.options.number > attempt.options.number ? this.#whySilent(attempt, now) : null;
    if (why === null) {
      attempt.loseRace();
      return endCancelled(this.#retry, attempt);
    }
    attempt.cancel();
    if (why === 'slow') attempt.options.target.state.rescueBudget.noteLost();
    recordFailure(this.#retry, attempt, silenceFailure(attempt, why, now));
  }

  #whySilent(attempt: Attempt, now: Instant): 'slow' | 'timeout' | null {
    const isProbe = attempt === this.#first && this.#plan?.cause === 'probe' && attempt.isSilent;
    return isProbe ? 'slow' : attempt.overdue(now);
  }
}

/** Returns the rescue budget of an attempt that is decided or closed. */
function endRescue(attempt: Attempt): void {
  attempt.rescueBudget?.end();
  attempt.rescueBudget = null;
}

/** The failure of an attempt that was replaced, or lost, because of its silence. */
function silenceFailure({ startedAt, silentPhase }: Attempt, kind: 'slow' | 'timeout', now: Instant): Failure {
  return createFailure(kind, silentPhase, `no content within ${Math.round(now - startedAt)} ms; another target was tried instead`);
}
