/**
 * The attempts that run at once for one request (docs/hedging.md): one, and beside it, once it has been silent for too long, another.
 * Whichever is decided first is handed out; if it fails, the request goes on with the other one, and if it is an answer, the other one
 * is closed. There are three reasons for a second attempt, and they differ only in when it starts, where, and who pays:
 *
 *   hedge    early, to cut the tail, where the policy asks for it
 *   probe    the first is the probe of a half-open breaker and is silent for longer than usual
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

/** Where there was no room for a hedge, it is looked for again after as long as before, but not more often than this, in ms. */
const HEDGE_RETRY_MIN_MS = 250;

/** Where there was no room for a rescue, it is looked for again after this, in ms. */
const RESCUE_RETRY_MS = 1000;

/** Where a stand-in had no room, shortly before the deadline. */
const STAND_IN_RETRY_MS = 100;

/** A second attempt that is planned as the first one begins. */
interface Plan {
  readonly cause: 'hedge' | 'probe';
  readonly delayMs: number;
}

/** Null: it runs alone, unless it has to be rescued. */
function planFor(retry: RetryState, attempt: Attempt): Plan | null {
  const { target, request } = attempt.options;
  const { hedge } = target.policy;
  const isProbe = target.state.breaker.state === 'half-open';
  if (!hedge.enabled && !isProbe) return null;
  // What is passed through unread may be an order for a hundred images. An answer that goes on elsewhere has its own time.
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
  /** A repeat of an attempt that was refused for what we added: at the same target, so no fallback. */
  #repaired: Attempt | null = null;
  /** Not decided yet; the oldest first, two at most. */
  #running: Attempt[] = [];
  /** Decided while the request was busy with the other one. */
  #decided: Attempt[] = [];
  #tell: ((attempt: Attempt | null) => void) | null = null;
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

  /** The next attempt that is decided: a candidate or a failure; null: the request is over, and none runs any more. */
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

  /** The answer of `winner` is taken: the other attempt, if there is one, is closed at once. */
  win(winner: Attempt): void {
    const now = this.#retry.active.engine.clock.now();
    const isYielding = this.#first.overdue(now) === 'timeout';
    const isBeside = winner !== this.#first && winner !== this.#repaired;
    // Beside a repaired repeat, the reason is the refusal that it followed.
    if (isBeside && this.#repaired === null) this.#retry.fallback ??= isYielding ? 'timeout' : 'slow';
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
      this.#retry.active.warn(error); // what runs goes on
    }
  }

  /** One may tell in the midst of what its upstream says; where two retry, the other one is then looked at too early. */
  onDecided(attempt: Attempt): void {
    if (this.#running.length === 1 && this.#tell !== null) this.#decide(attempt);
    else queueMicrotask(() => this.#decide(attempt));
  }

  #wait(): Promise<Attempt | null> {
    return new Promise((resolve, reject) => {
      this.#tell = resolve;
      this.#reject = reject;
    });
  }

  #send(attempt: Attempt): void {
    this.#running.push(attempt);
    try {
      attempt.send(this.#retry.active.engine.transport, this);
    } catch (error) {
      this.#fail(attempt, error);
    }
  }

  #decide(attempt: Attempt): void {
    if (!this.#removeRunning(attempt)) return;
    if (this.#tell === null) {
      this.#decided.push(attempt);
      if (!attempt.isComplete) attempt.pause(); // it is not taken yet, and must not fill the memory
      return;
    }
    this.#endIfEmpty();
    this.#answer(attempt);
  }

  /** A fault of ours kept it from being sent. The other one may answer all the same. */
  #fail(attempt: Attempt, error: unknown): void {
    if (!this.#removeRunning(attempt)) return;
    attempt.cancel();
    endCancelled(this.#retry, attempt);
    const isLast = this.#running.length + this.#decided.length === 0;
    this.#endIfEmpty();
    if (isLast && this.#tell !== null) this.#reject(error);
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

  #answer(attempt: Attempt | null): void {
    const tell = this.#tell;
    this.#tell = null;
    tell?.(attempt);
  }

  #setTimer(delayMs: number): void {
    this.#timer = this.#retry.active.engine.clock.schedule(delayMs, () => {
      this.#timer = null;
      try {
        this.#followPlan(this.#plan!);
      } catch (error) {
        this.#retry.active.warn(error); // the first one goes on
      }
    });
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** The first one has been silent for as long as planned. */
  #followPlan({ cause, delayMs }: Plan): void {
    const retry = this.#retry;
    if (retry.active.isOver || !this.#first.isSilent || this.#running.length > 1 || retry.attemptsLeft <= 0) return;
    const { target } = this.#first.options;
    const now = retry.active.engine.clock.now();
    const { hedgeBudget, retryBudget } = target.state;
    const isHedge = cause === 'hedge';
    const isAllowed = !isHedge || (hedgeBudget.allows && retryBudget.allows(now, retry.active.source.client));
    const admitted = isAllowed ? parallelPermit(retry, target, cause) : null;
    if (admitted === null) return this.#setTimer(Math.max(HEDGE_RETRY_MIN_MS, delayMs));
    if (isHedge) {
      hedgeBudget.take();
      retryBudget.take(now, retry.active.source.client);
    }
    this.#begin(admitted, cause, this.#first, null);
  }

  #begin(admitted: Admitted, cause: 'hedge' | 'probe' | 'rescue', beside: Attempt, budget: RescueBudget | null): void {
    const retry = this.#retry;
    const attempt = beginAttempt(retry, admitted, cause);
    if (attempt === null) return;
    if (budget !== null) {
      budget.take();
      attempt.rescueBudget = budget;
    }
    this.#send(attempt);
    const silentMs = Math.round(retry.active.engine.clock.now() - beside.startedAt);
    retry.active.log(`silent for ${silentMs} ms: another attempt runs beside it (${cause})`, beside.options.target);
  }

  /**
   * Whatever runs has been silent for too long: another target is asked beside it, or in the place of the older of two. Where that can't
   * start at once, and the share of the deadline is spent, the attempt fails, so that its request can wait for a place elsewhere.
   */
  #rescue(): void {
    const retry = this.#retry;
    const now = retry.active.engine.clock.now();
    const oldest = this.#running[0];
    const late = this.#running.filter((attempt) => attempt.overdue(now) !== null);
    // Where the other one still has time, its silence is what counts.
    const isDue = late.length === this.#running.length;
    for (const attempt of late) attempt.recheckAt(isDue || this.#tell === null ? now + RESCUE_RETRY_MS : Infinity);
    if (oldest === undefined || !isDue || this.#tell === null || retry.active.isOver) return;
    const { target } = oldest.options;
    const alternative = retry.alternativeTo(target, now);
    if (alternative === 'none' || (alternative === 'stand-in' && now < retry.standInStart)) return oldest.recheckAt(-Infinity);
    const mustYield = oldest.mustYield(now);
    // Of two, the older one gives up its place: it is the younger one that the new one runs beside.
    const { rescueBudget } = this.#running.at(-1)!.options.target.state;
    const admitted =
      mustYield || rescueBudget.allows ? parallelPermit(retry, target, alternative === 'stand-in' ? 'stand-in' : 'rescue') : null;
    if (admitted === null) {
      // One that has not been silent for longer than usual may well answer in time.
      if (alternative === 'stand-in' && oldest.overdue(now) !== 'slow') oldest.recheckAt(now + STAND_IN_RETRY_MS);
      else if (mustYield && this.#running.length === 1 && !oldest.isInUsualTime(now)) oldest.expire();
      return;
    }
    if (this.#running.length > 1) this.#replace(oldest, now);
    for (const attempt of this.#running) attempt.recheckAt(Infinity);
    this.#begin(admitted, 'rescue', oldest, rescueBudget);
  }

  /** The one silent longest makes room for another. */
  #replace(attempt: Attempt, now: Instant): void {
    const why = attempt.overdue(now) ?? 'slow';
    this.#removeRunning(attempt);
    attempt.cancel();
    recordFailure(this.#retry, attempt, silenceFailure(attempt, why, now));
  }

  #close(end: (attempt: Attempt) => void): void {
    this.#stopTimer();
    const left = [...this.#running, ...this.#decided];
    this.#running = [];
    this.#decided = [];
    this.#endIfEmpty();
    for (const attempt of left) endRescue(attempt);
    for (const attempt of left) end(attempt);
    this.#answer(null);
  }

  #endIfEmpty(): void {
    if (this.#running.length + this.#decided.length === 0 && this.#retry.active.group === this) this.#retry.active.group = null;
  }

  /**
   * A loser says nothing bad of its target, unless it has failed: it may have been about to answer. But one that had been silent for too
   * long, and lost against one that began after it, has shown that its target hangs; and a probe was sent to find out whether the target
   * is well: else every request would be the next probe, and wait for it as long.
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

/** It is decided, or closed: its place in the budget is free. */
function endRescue(attempt: Attempt): void {
  attempt.rescueBudget?.end();
  attempt.rescueBudget = null;
}

/** It was silent for too long, and another target is asked in its place or has answered. */
function silenceFailure({ startedAt, silentPhase }: Attempt, kind: 'slow' | 'timeout', now: Instant): Failure {
  return createFailure(kind, silentPhase, `no content within ${Math.round(now - startedAt)} ms, and another target was asked`);
}
