import type { Instant } from '../../core/clock.ts';

/**
 * A rate inferred from refusals, for providers that advertise no limits.
 *
 * After a refusal the rate falls slightly below the one at which it came. Within the first half of a period it returns to that rate, stays
 * near it, and only then grows faster and faster (the curve of TCP CUBIC, RFC 9438). So refusals are rare near the limit, and a limit that
 * never existed or no longer exists is soon outgrown. A confirmed limit is probed less often.
 *
 * Measured at a provider with an unadvertised limit (`learning.test.ts`): 1 % of calls are refused with this, 42 % without, and the whole
 * limit is used.
 */
const BACK_OFF = 0.9;
/** In a trial: a full bucket admits up to twice its refill, so half of the accepted rate is within the limit. */
const TRIAL_BACK_OFF = 0.5;
/** The rate doubles in about one and a half periods. Each refusal that confirms the one before doubles the period. */
const PERIOD_MS = 30_000;
const CONFIRMED_PERIOD_MS = 150_000;
const PERIOD_MAX_MS = 15 * 60_000;
/** The approximate number of calls between two refusals at a confirmed limit. */
const CALLS_BETWEEN = 500;
/** Refusals at rates within this share of each other confirm each other. */
const SAME_RATE = 0.25;
/** The burst, as a part of a minute's amount. */
const BURST_MS = 3_000;
/** Refusals of calls below this share of the refused rate have another cause. */
const SURELY_BELOW = 0.97;
const CLEAR_MARGIN = 1.1;
/** Beyond this many times the refused rate the limit no longer exists. */
const OUTGROWN = 4;
const MINUTE_MS = 60_000;
/** The part of the curve before it returns to the refused rate: the cube root of the back-off. */
const RETURN_SHARE = Math.cbrt(1 - BACK_OFF);
const TRIAL_RETURN_SHARE = Math.cbrt(1 - TRIAL_BACK_OFF);

export interface PacedLevel {
  readonly perMinute: number;
  readonly confirmed: number;
}

export class PacedRate {
  /** The rate per minute at the last refusal. */
  #refusedAt: number;
  #hitAt: Instant;
  #confirmed = 0;
  /** Calls per minute at the last refusal. */
  #callsPerMinute: number;
  #perMinute: number;
  #smallest: number;
  #isHeld = false;
  #clearUntil: number;
  #returnShare = RETURN_SHARE;
  #level: number;
  #at: Instant;

  /** `smallest`: the minimum burst. */
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

  /** The rate is at most what a trial has shown to be free of refusals, or has not yet returned to the refused rate. */
  get isBelow(): boolean {
    return this.#perMinute < this.#clearUntil;
  }

  /** The rate is so far above the refused one that it limits nothing. */
  get isOutgrown(): boolean {
    return this.#perMinute > OUTGROWN * this.#refusedAt;
  }

  /** A call that started after the last back-off was refused. `sustained`: the served amount per minute, as far as known. */
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

  /** Starts a trial: a rate low enough that no refusal comes from the limit, until `advance` ends it. */
  slowDown(): void {
    this.#isHeld = true;
    this.#returnShare = TRIAL_RETURN_SHARE;
    this.#perMinute = this.#refusedAt * TRIAL_BACK_OFF;
    this.#clearUntil = this.#perMinute * CLEAR_MARGIN;
  }

  /**
   * Moves the rate along the curve, with every response; in between it is constant, so that returned instants stay valid. `isHeld`: a trial
   * is running.
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

  /** When an amount can start; one above the burst starts on a full bucket. */
  earliest(now: Instant, amount: number): Instant {
    const missing = Math.min(amount, this.#capacity) - this.level(now);
    return missing <= 1e-6 ? now : now + (missing * MINUTE_MS) / this.#perMinute;
  }

  /** When an amount can start after the amounts ahead of it. */
  earliestAfter(now: Instant, before: number, amount: number): Instant {
    if (amount <= 0 || before <= 0) return this.earliest(now, amount);
    const missing = before + Math.min(amount, this.#capacity) - this.level(now);
    return missing <= 0 ? now : now + (missing * MINUTE_MS) / this.#perMinute;
  }

  /** One call counts for at most a minute's amount, whatever its size. */
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

  /** At a confirmed limit a period covers many calls, even where calls are rare. */
  #periodMs(): number {
    const callsMs = (CALLS_BETWEEN * MINUTE_MS) / Math.max(1, this.#callsPerMinute);
    return Math.min(PERIOD_MAX_MS, Math.max(CONFIRMED_PERIOD_MS, callsMs), PERIOD_MS * 2 ** this.#confirmed);
  }
}
