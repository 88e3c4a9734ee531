/**
 * Whether refused calls are a sign of a limit. They are if refusals depend on the rate of calls. Providers also refuse a share of all calls
 * at random, and against that a lower rate does not help.
 *
 * ## Detection
 *
 * Three one-sided CUSUM tests compare the outcomes of calls with the known share of random refusals: one is tuned for a small lasting rise,
 * one for a steep rise, and one in between. Each outcome adds its log-likelihood ratio; the sums never fall below zero, and a sum above a
 * threshold is a detection. Up to about 1.5 % of refusals are never a sign, because such a limit costs less than slowing down.
 *
 * ## Trial
 *
 * After the first detection the rate is lowered well below the accepted one. With a real limit the refusals end there; random ones keep
 * their share. A sequential probability ratio test (Wald) on the calls at the lower rate decides between the two. A share larger than
 * random refusals are assumed to have means that the limit is even lower. Once a limit is confirmed, further detections count as signs of
 * it without a trial, unless they come at a rate below it.
 *
 * Evidence of random refusals decays, so that the question is examined again.
 */
import type { Instant } from '../../core/clock.ts';
import { CallOutcomes } from './call-outcomes.ts';
import type { OutcomeListener } from './call-outcomes.ts';
import { DecayingRatio } from './decaying-ratio.ts';
import { RecentRefusals } from './recent-refusals.ts';
import { likelihood, RefusalTrial } from './refusal-trial.ts';

/**
 * The threshold of a CUSUM test is a log-likelihood: the logarithm of the number of calls in `FALSE_ALARM_MS`, so that false alarms are
 * rarer than one in that time, plus `DETECT_ABOVE`, or plus `DETECT_BESIDE_RANDOM` where random refusals are known and no limit is in
 * force. While a limit is in force nothing is added. It is never below `DETECT_MIN`.
 */
const FALSE_ALARM_MS = 100_000;
const DETECT_ABOVE = 1;
const DETECT_BESIDE_RANDOM = 3;
const DETECT_MIN = 5;
/** Refusals needed for a detection while no limit is in force. */
const DETECT_REFUSALS = 3;
/** The history needed for a detection, after which pauses and a cold start no longer distort the rate. */
const DETECT_AFTER_MS = 10_000;
/** The tested shares of refusals: this much above the random share; half of all calls. */
const SMALL_RISE = 0.03;
const RISE = 0.12;
const STEEP_SHARE = 0.5;
/** The log-likelihood ratio that ends a trial: in favour of random refusals, of a limit. */
const DECIDE_RANDOM = 4;
/** The same where an earlier trial has confirmed a limit. */
const DECIDE_RANDOM_AT_LIMIT = 7;
const DECIDE_LIMIT = -6;
/** A larger share at the lower rate is not random. */
const RANDOM_MAX = 0.2;
/** Right after a pause a limit admits more than its rate: a trial that ends in favour of random refusals lasts at least this many calls. */
const TRIAL_CALLS_MIN = 40;
/** A trial is void if calls were slower than this share of its rate. */
const BINDING_SHARE = 0.7;
/** A share counts as higher if it is higher by this many standard deviations. */
const LOWER_DEVIATIONS = 0.8;
/** Without a decision for this long, or after this many calls, a trial ends with the likelier result. */
const TRIAL_MS = 30_000;
const TRIAL_CALLS_MAX = 200;
/** While no limit is in force at least this share counts as random. */
const FREE_SHARE_MIN = 0.01;
/** With fewer accepted calls per minute a trial would take minutes. */
const TRIED_PER_MINUTE_MIN = 40;
/** Outside of trials no larger share than this counts as random. */
const UNTRIED_SHARE_MAX = 0.015;
/** More consecutive refusals than this are no further evidence: they are an outage, or a full window. */
const CONSECUTIVE_MAX = 4;
/** A longer pause between calls starts a new history. */
const QUIET_MS = 60_000;

/**
 * - `suspect`: refusals exceed the random ones: slow down far enough for a trial
 * - `limit`: the same, at a confirmed limit
 * - `random`: the share of refusals does not depend on the rate: drop the inferred rate
 */
export type RefusalVerdict = 'suspect' | 'limit' | 'random';

export class RefusalTest implements OutcomeListener {
  readonly #fates = new CallOutcomes(this);
  /** Random refusals as measured below a limit, and without any limit. */
  readonly #tried = new DecayingRatio();
  readonly #untried = new DecayingRatio();
  #small = 0;
  #middle = 0;
  #steep = 0;
  /** Since when the three sums are not all zero. */
  #runSince: Instant = -Infinity;
  #runCalls = 0;
  #runRefused = 0;
  /** Accepted calls outside of such a run that have not been counted yet. */
  #clean = 0;
  /** The latest start among calls with a response. */
  #servedStart: Instant = -Infinity;
  /** Calls that started before the last detection are no evidence for the time after it. */
  #detectedAt: Instant = -Infinity;
  #trial: RefusalTrial | null = null;
  /** A trial has shown that refusals depend on the rate. */
  #isConfirmed = false;
  #verdict: RefusalVerdict | null = null;
  #isSlowed = false;
  #isBelow = false;
  #acceptedPerMinute = Infinity;
  #excess = 1;
  #startedAt: Instant = -Infinity;
  /** Since when there have been calls without a long pause. */
  #activeSince: Instant = -Infinity;
  #callsPerMinute = 0;
  #expectedPerMinute = 0;
  /** Refusals since the last accepted call. */
  #consecutive = 0;
  /** The same in the order of the starts. */
  #consecutiveByStart = 0;
  readonly #recent = new RecentRefusals();

  /** A trial is running, so the rate stays constant. */
  get isTrying(): boolean {
    return this.#trial !== null;
  }

  /** Refusals in excess of the random ones at the last detection. */
  get excess(): number {
    return this.#excess;
  }

  /** Accepted calls per minute in the trial that has shown an even lower limit; Infinity: there was none. */
  get acceptedPerMinute(): number {
    return this.#acceptedPerMinute;
  }

  /** The known share of random refusals. */
  randomShare(now: Instant): number {
    return Math.max(this.#tried.ratio(now), Math.min(UNTRIED_SHARE_MAX, this.#untried.ratio(now)));
  }

  /** `isSlowed`: an inferred rate is in force; `isBelow`: it is below the rate at which refusals began. */
  at(now: Instant, isSlowed: boolean, isBelow: boolean): void {
    if (isSlowed === this.#isSlowed && isBelow === this.#isBelow) return;
    this.#countClean(now);
    this.#isSlowed = isSlowed;
    this.#isBelow = isBelow;
  }

  started(now: Instant): void {
    if (now - this.#startedAt > QUIET_MS) this.#activeSince = now;
    this.#startedAt = now;
    this.#recent.started(now);
    this.#fates.started(now);
  }

  /** The newest start was not sent. */
  cancelled(): void {
    this.#recent.cancelled();
    this.#fates.cancelled();
  }

  served(now: Instant, startedAt: Instant): void {
    this.#servedStart = Math.max(this.#servedStart, startedAt);
    this.#fates.settle(now);
  }

  /** True if the target needs a pause: refusals are a large share of recent calls, whatever the cause, or this is the first for a while. */
  refused(now: Instant, startedAt: Instant, callsPerMinute: number): boolean {
    this.#callsPerMinute = callsPerMinute;
    const isMany = this.#recent.refused(now, this.randomShare(now));
    this.#fates.refused(now, startedAt);
    this.#consecutive = this.#fates.openUntil(startedAt) > 0 ? 1 : this.#consecutive + 1;
    if (this.#consecutive > CONSECUTIVE_MAX) return true;
    if (this.#trial !== null && startedAt > this.#detectedAt) return false;
    return isMany;
  }

  /** The rate of the trial that has started; calls may be slower where fewer arrive. */
  expect(callsPerMinute: number): void {
    this.#expectedPerMinute = callsPerMinute;
  }

  /** The outcome since the last call of this method; null: none. */
  takeVerdict(): RefusalVerdict | null {
    const verdict = this.#verdict;
    this.#verdict = null;
    return verdict;
  }

  /** The inferred rate was dropped. */
  released(): void {
    this.#trial = null;
    this.#isConfirmed = false;
  }

  reset(): void {
    this.#fates.reset();
    this.#tried.clear();
    this.#untried.clear();
    this.#clean = 0;
    this.#clearRun();
    this.#servedStart = -Infinity;
    this.#detectedAt = -Infinity;
    this.#trial = null;
    this.#isConfirmed = false;
    this.#verdict = null;
    this.#consecutive = 0;
    this.#consecutiveByStart = 0;
    this.#recent.reset();
  }

  onOutcome(now: Instant, startedAt: Instant, isRefused: boolean): void {
    if (!isRefused) this.#consecutive = 0;
    if (startedAt <= this.#detectedAt) return;
    this.#consecutiveByStart = isRefused ? this.#consecutiveByStart + 1 : 0;
    if (this.#consecutiveByStart > CONSECUTIVE_MAX) return;
    if (this.#trial !== null) this.#try(now, this.#trial, isRefused);
    else this.#watch(now, isRefused);
  }

  #watch(now: Instant, isRefused: boolean): void {
    if (!isRefused && this.#runCalls === 0) {
      this.#clean++;
      return;
    }
    this.#countClean(now);
    const known = this.#knownShare(now);
    this.#small = Math.max(0, this.#small + likelihood(isRefused, known + SMALL_RISE, known));
    this.#middle = Math.max(0, this.#middle + likelihood(isRefused, known + RISE, known));
    this.#steep = Math.max(0, this.#steep + likelihood(isRefused, STEEP_SHARE, known));
    if (this.#small === 0 && this.#middle === 0 && this.#steep === 0) return this.#endRun(now);
    if (this.#runCalls++ === 0) this.#runSince = now;
    if (!isRefused) return;
    this.#runRefused++;
    if (!this.#isDetected(now, known)) return;
    this.#excess = Math.max(1, this.#runRefused - known * this.#runCalls);
    this.#acceptedPerMinute = Infinity;
    if (!this.#isSlowed && this.#isTooSlowToTry) return this.#countTried(now);
    if (!this.#isSlowed || this.#isBelow) return this.#suspect(now);
    this.#detectedAt = now;
    this.#clearRun();
    this.#verdict = 'limit';
  }

  /** The assumed share of random refusals: where there are some, slightly more does not start a new trial. */
  #knownShare(now: Instant): number {
    const share = this.#tried.ratio(now);
    if (this.#isSlowed) return share;
    const tried = share > UNTRIED_SHARE_MAX ? this.#tried.upperBound(now) : 0;
    return Math.max(FREE_SHARE_MIN, tried, Math.min(UNTRIED_SHARE_MAX, this.#untried.ratio(now)));
  }

  #isDetected(now: Instant, known: number): boolean {
    const aboveFree = known > UNTRIED_SHARE_MAX ? DETECT_BESIDE_RANDOM : DETECT_ABOVE;
    const above = this.#isSlowed ? 0 : aboveFree;
    const enough = Math.max(DETECT_MIN, above + Math.log(Math.max(1, (this.#callsPerMinute * FALSE_ALARM_MS) / 60_000)));
    if (Math.max(this.#small, this.#middle, this.#steep) < enough) return false;
    // Consecutive refusals without a response are an outage.
    if (this.#isSlowed) return this.#servedStart > this.#detectedAt;
    if (now - this.#activeSince < DETECT_AFTER_MS) return false;
    return this.#runRefused >= DETECT_REFUSALS && this.#servedStart > this.#runSince;
  }

  /** A trial would make callers wait for long, and the share of refusals may be random. */
  get #isTooSlowToTry(): boolean {
    // A run starts with a refusal.
    return this.#callsPerMinute < TRIED_PER_MINUTE_MIN && this.#runRefused - 1 <= RANDOM_MAX * this.#runCalls;
  }

  #countTried(now: Instant): void {
    this.#tried.add(now, this.#runCalls, this.#runRefused);
    this.#clearRun();
  }

  #suspect(now: Instant): void {
    this.#trial = new RefusalTrial(now, this.#runCalls === 0 ? 0 : this.#runRefused / this.#runCalls, this.randomShare(now));
    this.#detectedAt = now;
    this.#expectedPerMinute = 0;
    this.#clearRun();
    this.#verdict = 'suspect';
  }

  #try(now: Instant, trial: RefusalTrial, isRefused: boolean): void {
    trial.add(now, isRefused);
    const enough = this.#isConfirmed ? DECIDE_RANDOM_AT_LIMIT : DECIDE_RANDOM;
    const isOver = now - trial.since > TRIAL_MS || trial.calls >= TRIAL_CALLS_MAX;
    if (trial.score <= DECIDE_LIMIT || (isOver && trial.score <= 0)) return this.#endInLimit(now, trial);
    if (!isRefused || this.#servedStart <= this.#detectedAt || !(isOver || trial.score >= enough)) return;
    if (trial.share <= RANDOM_MAX) {
      if (trial.calls < TRIAL_CALLS_MIN && !isOver) return;
      if (trial.callsPerMinute(now) < BINDING_SHARE * this.#expectedPerMinute) return this.#suspectBelow(now, trial);
      this.#verdict = 'random';
      this.#isConfirmed = false;
      return this.#end(now, trial);
    }
    if (!isOver && trial.refused < RANDOM_MAX * trial.calls + LOWER_DEVIATIONS * Math.sqrt(trial.calls)) return;
    this.#suspectBelow(now, trial);
  }

  /** Starts another trial, below the rate that this one has accepted. */
  #suspectBelow(now: Instant, trial: RefusalTrial): void {
    this.#acceptedPerMinute = trial.acceptedPerMinute(now);
    this.#suspect(now);
  }

  #endInLimit(now: Instant, trial: RefusalTrial): void {
    this.#isConfirmed ||= trial.score <= DECIDE_LIMIT;
    this.#end(now, trial);
  }

  #end(now: Instant, trial: RefusalTrial): void {
    this.#tried.add(now, trial.calls, trial.refused);
    this.#trial = null;
    this.#clearRun();
  }

  /** There was no sign of a limit, so the refusals were random. */
  #endRun(now: Instant): void {
    this.#countRandom(now, this.#runCalls + 1, this.#runRefused);
    this.#clearRun();
  }

  #countClean(now: Instant): void {
    if (this.#clean > 0) this.#countRandom(now, this.#clean, 0);
    this.#clean = 0;
  }

  #countRandom(now: Instant, calls: number, refused: number): void {
    if (!this.#isSlowed) this.#untried.add(now, calls, refused);
    if (this.#isSlowed ? this.#isBelow : this.#tried.ratio(now) > UNTRIED_SHARE_MAX) this.#tried.add(now, calls, refused);
  }

  #clearRun(): void {
    this.#small = 0;
    this.#middle = 0;
    this.#steep = 0;
    this.#runSince = -Infinity;
    this.#runCalls = 0;
    this.#runRefused = 0;
  }
}
