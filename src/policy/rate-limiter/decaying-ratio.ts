import type { Instant } from '../../core/clock.ts';

/** The prior: refusals and calls. */
const PRIOR_REFUSED = 0.05;
const PRIOR_CALLS = 10;
/** Evidence decays with these: by time, and by calls. */
const FADE_MS = 10 * 60_000;
const CALLS_MAX = 2_000;
/** The upper bound of a share, in standard deviations. */
const LIKELY_DEVIATIONS = 2;

/** Calls and the refused ones among them, decaying. */
export class DecayingRatio {
  #calls = 0;
  #refused = 0;
  #at: Instant = 0;

  add(now: Instant, calls: number, refused: number): void {
    const fade = this.#fade(now) * (this.#calls > CALLS_MAX ? 0.5 : 1);
    this.#calls = this.#calls * fade + calls;
    this.#refused = this.#refused * fade + refused;
    this.#at = now;
  }

  share(now: Instant): number {
    const fade = this.#fade(now);
    return (this.#refused * fade + PRIOR_REFUSED) / (this.#calls * fade + PRIOR_CALLS);
  }

  /** The upper bound of the share, given the number of calls. */
  likelyMost(now: Instant): number {
    const share = this.share(now);
    return share + LIKELY_DEVIATIONS * Math.sqrt((share * (1 - share)) / (this.#calls * this.#fade(now) + PRIOR_CALLS));
  }

  clear(): void {
    this.#calls = 0;
    this.#refused = 0;
  }

  #fade(now: Instant): number {
    return Math.exp(-Math.max(0, now - this.#at) / FADE_MS);
  }
}
