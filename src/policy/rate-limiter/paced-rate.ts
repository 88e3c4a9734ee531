import type { Instant } from '../../core/clock.ts';

/**
 * A rate that is found out by being refused, for providers that tell nothing of their limits.
 *
 * After a refusal the rate falls a little below the one at which it came, returns to that within the first half of a
 * period, stays near it, and only then tries more and more (the curve of TCP CUBIC, RFC 9438): near the limit a refusal
 * is rare, and a limit that was none, or is gone, is soon outgrown. A limit that is confirmed is tried more seldom.
 */
const BACK_OFF = 0.9;
/** In a trial: a full bucket lets through up to twice what flows in, so that half of what was accepted is within the limit. */
const TRIAL_BACK_OFF = 0.5;
/** In about one and a half of these it has twice the rate. Twice as long with every refusal that confirms the one before. */
const PERIOD_MS = 30_000;
const CONFIRMED_PERIOD_MS = 150_000;
const PERIOD_MAX_MS = 15 * 60_000;
/** Between two refusals at a confirmed limit lie about so many calls. */
const CALLS_BETWEEN = 500;
/** Refusals at rates this near to each other confirm each other. */
const SAME_RATE = 0.25;
/** So much of a minute's worth may go at once. */
const BURST_MS = 3_000;
/** Calls at less than this part of the rate that was refused are not refused by the same limit. */
const SURELY_BELOW = 0.97;
const ABOUT_CLEAR = 1.1;
/** Beyond so many times the rate that was refused it is no limit any more. */
const OUTGROWN = 4;
const MINUTE_MS = 60_000;
/** The part of the curve in which it comes back to where the refusal came: the cube root of what was backed off. */
const RETURN_SHARE = Math.cbrt(1 - BACK_OFF);
const TRIAL_RETURN_SHARE = Math.cbrt(1 - TRIAL_BACK_OFF);

export interface PacedLevel {
  readonly perMinute: number;
  readonly confirmed: number;
}

export class PacedRate {
  /** At which the last refusal came, a minute. */
  #refusedAt: number;
  #hitAt: Instant;
  #confirmed = 0;
  /** Calls a minute when the last refusal came. */
  #callsPerMinute: number;
  #perMinute: number;
  #smallest: number;
  #isHeld = false;
  #clearUntil: number;
  #returnShare = RETURN_SHARE;
  #level: number;
  #at: Instant;

  /** `smallest`: this much may always go at once when nothing went for a while. */
  constructor(perMinute: number, callsPerMinute: number, now: Instant, smallest = 1) {
    this.#refusedAt = perMinute;
    this.#callsPerMinute = callsPerMinute;
    this.#hitAt = now;
    this.#smallest = smallest;
    this.#perMinute = perMinute * BACK_OFF;
    this.#clearUntil = perMinute * SURELY_BELOW;
    this.#level = 0;
    this.#at = now;
  }

  static restore(saved: PacedLevel, now: Instant): PacedRate {
    const paced = new PacedRate(saved.perMinute, saved.perMinute, now);
    paced.#confirmed = saved.confirmed;
    return paced;
  }

  get perMinute(): number {
    return this.#perMinute;
  }

  /** It goes no faster than what a trial has shown to be free of refusals, or is not yet back at where the last one came. */
  get isBelow(): boolean {
    return this.#perMinute < this.#clearUntil;
  }

  /** It has been left so far behind that it limits nobody. */
  get isOutgrown(): boolean {
    return this.#perMinute > OUTGROWN * this.#refusedAt;
  }

  /** A call was refused that had started later than the last back-off; `sustained`: what was really served a minute, as far as known. */
  refused(now: Instant, sustained: number, callsPerMinute: number): void {
    const at = Math.min(this.#perMinute, Math.max(sustained, this.#perMinute / 2));
    this.#confirmed = Math.abs(at - this.#refusedAt) < SAME_RATE * this.#refusedAt ? this.#confirmed + 1 : 0;
    this.#refusedAt = at;
    this.#callsPerMinute = callsPerMinute;
    this.#level = Math.min(0, this.level(now));
    this.#at = now;
    this.#hitAt = now;
    this.#returnShare = RETURN_SHARE;
    this.#isHeld = false;
    this.#perMinute = at * BACK_OFF;
    this.#clearUntil = at * SURELY_BELOW;
  }

  /** For a trial: so slow that no refusal comes from a limit, until `advance` ends it. */
  slowDown(): void {
    this.#isHeld = true;
    this.#returnShare = TRIAL_RETURN_SHARE;
    this.#perMinute = this.#refusedAt * TRIAL_BACK_OFF;
    this.#clearUntil = this.#perMinute * ABOUT_CLEAR;
  }

  /**
   * Goes on along the curve, with every answer: in between the rate stays as it is, so that an instant that was named holds. `isHeld`:
   * not before the trial has ended.
   */
  advance(now: Instant, isHeld = false): void {
    this.#level = this.level(now);
    this.#at = now;
    if (isHeld) return;
    if (this.#isHeld) {
      this.#isHeld = false;
      this.#hitAt = now;
    }
    const periodMs = this.#periodMs();
    const x = (now - this.#hitAt) / periodMs - this.#returnShare;
    this.#perMinute = this.#refusedAt * (1 + x * x * x);
  }

  level(now: Instant): number {
    return Math.min(this.#capacity, this.#level + ((now - this.#at) * this.#perMinute) / MINUTE_MS);
  }

  /** When an amount can go: a larger one than ever goes at once starts on a full bucket. */
  earliest(now: Instant, amount: number): Instant {
    const missing = Math.min(amount, this.#capacity) - this.level(now);
    return missing <= 1e-6 ? now : now + (missing * MINUTE_MS) / this.#perMinute;
  }

  /** When an amount can go after those who go before it have taken theirs. */
  earliestAfter(now: Instant, before: number, amount: number): Instant {
    if (amount <= 0 || before <= 0) return this.earliest(now, amount);
    const missing = before + Math.min(amount, this.#capacity) - this.level(now);
    return missing <= 0 ? now : now + (missing * MINUTE_MS) / this.#perMinute;
  }

  /** Of one call no more than a minute's worth is counted: what it asked for may be beyond all measure. */
  take(now: Instant, amount: number): void {
    this.#level = this.level(now) - Math.min(amount, this.#perMinute);
    this.#at = now;
  }

  giveBack(now: Instant, amount: number): void {
    this.#level = Math.min(this.#capacity, this.level(now) + Math.min(amount, this.#perMinute));
    this.#at = now;
  }

  save(): PacedLevel {
    return { perMinute: this.#refusedAt, confirmed: this.#confirmed };
  }

  get #capacity(): number {
    return Math.max(this.#smallest, (this.#perMinute * BURST_MS) / MINUTE_MS);
  }

  /** At a confirmed limit a refusal now and then is one of many calls, however few there are a minute. */
  #periodMs(): number {
    const callsMs = (CALLS_BETWEEN * MINUTE_MS) / Math.max(1, this.#callsPerMinute);
    return Math.min(PERIOD_MAX_MS, Math.max(CONFIRMED_PERIOD_MS, callsMs), PERIOD_MS * 2 ** this.#confirmed);
  }
}
