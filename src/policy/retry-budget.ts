import type { Instant } from '../core/clock.ts';

export interface RetryBudgetOptions {
  /** Repeats allowed per first attempt. */
  readonly ratio: number;
  /** Repeats allowed per second however little is sent. */
  readonly minPerSecond: number;
}

/** What one repeat has taken of both accounts. */
export interface RepeatTaken {
  readonly granted: number;
  readonly earned: number;
}

/** How long what was earned or granted can be saved up. */
const HORIZON_MS = 10_000;

/** Sums of floats: five times 0.2 is a whole repeat. */
const EPSILON = 1e-9;

/**
 * Bounds the repeats on one target over all requests, so that an outage is never amplified: each first attempt earns
 * `ratio` of a repeat. `minPerSecond` is a floor, not an addition: a repeat is charged to both accounts, so that where
 * much is sent the ratio alone counts. Both fade after ten seconds.
 */
export class RetryBudget {
  readonly #options: RetryBudgetOptions;
  #earned = 0;
  #granted: number;
  #at: Instant;

  constructor(options: RetryBudgetOptions, now: Instant) {
    this.#options = options;
    this.#granted = this.#grantMax;
    this.#at = now;
  }

  get #grantMax(): number {
    const { minPerSecond } = this.#options;
    return minPerSecond > 0 ? Math.max(1, (minPerSecond * HORIZON_MS) / 1000) : 0;
  }

  /** A request asked this target for the first time. */
  earn(now: Instant): void {
    this.#advance(now);
    this.#earned += this.#options.ratio;
  }

  /** True if one more repeat is within the budget. */
  allows(now: Instant): boolean {
    return this.balance(now) >= 1 - EPSILON;
  }

  /** Takes one repeat; the caller has asked `allows`. What this returns gives it back if the repeat is not made. */
  take(now: Instant): RepeatTaken {
    this.#advance(now);
    const taken = { granted: Math.min(1, this.#granted), earned: Math.min(1, this.#earned) };
    this.#granted -= taken.granted;
    this.#earned -= taken.earned;
    return taken;
  }

  giveBack(now: Instant, taken: RepeatTaken): void {
    this.#advance(now);
    this.#granted = Math.min(this.#grantMax, this.#granted + taken.granted);
    this.#earned += taken.earned;
  }

  /** Repeats that are allowed now. */
  balance(now: Instant): number {
    this.#advance(now);
    return Math.max(this.#earned, this.#granted);
  }

  #advance(now: Instant): void {
    const passedMs = now - this.#at;
    if (passedMs <= 0) return;
    this.#at = now;
    this.#earned *= Math.exp(-passedMs / HORIZON_MS);
    this.#granted = Math.min(this.#grantMax, this.#granted + (this.#options.minPerSecond * passedMs) / 1000);
  }
}
