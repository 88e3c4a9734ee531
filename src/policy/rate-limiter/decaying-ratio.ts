import type { Instant } from '../../core/clock.ts';

/** The prior: refusals and calls. */
const PRIOR_REFUSED = 0.05;
const PRIOR_CALLS = 10;
/** Evidence decays over this time, and over this many calls. */
const DECAY_MS = 10 * 60_000;
const CALLS_MAX = 2_000;
/** The upper bound of the ratio, in standard deviations. */
const UPPER_BOUND_DEVIATIONS = 2;

/** The ratio of refused calls to all calls, decaying. */
export class DecayingRatio {
  #calls = 0;
  #refused = 0;
  #at: Instant = 0;

  add(now: Instant, calls: number, refused: number): void {
    const decay = this.#decay(now) * (this.#calls > CALLS_MAX ? 0.5 : 1);
    this.#calls = this.#calls * decay + calls;
    this.#refused = this.#refused * decay + refused;
    this.#at = now;
  }

  ratio(now: Instant): number {
    const decay = this.#decay(now);
    return (this.#refused * decay + PRIOR_REFUSED) / (this.#calls * decay + PRIOR_CALLS);
  }

  /** The upper bound of the ratio, given the number of calls. */
  upperBound(now: Instant): number {
    const ratio = this.ratio(now);
    return ratio + UPPER_BOUND_DEVIATIONS * Math.sqrt((ratio * (1 - ratio)) / (this.#calls * this.#decay(now) + PRIOR_CALLS));
  }

  clear(): void {
    this.#calls = 0;
    this.#refused = 0;
  }

  #decay(now: Instant): number {
    return Math.exp(-Math.max(0, now - this.#at) / DECAY_MS);
  }
}
