import type { Instant } from '../../core/clock.ts';

const WEIGHT_OF_NEWEST = 0.1;
/** A target never loses all its weight: what is never asked can never recover. */
const HEALTH_MIN = 0.05;
/** Failures are forgotten to a third in this time, in milliseconds: a target that is asked seldom has to recover too. */
const FADES_IN_MS = 300_000;

/** The recent share of successes of a target, as a moving average over its last attempts. */
export class Health {
  #failing = 0;
  #at: Instant = 0;

  valueAt(now: Instant): number {
    return Math.max(HEALTH_MIN, 1 - this.#failingAt(now));
  }

  record(now: Instant, success: boolean): void {
    const failing = this.#failingAt(now);
    this.#failing = failing + WEIGHT_OF_NEWEST * ((success ? 0 : 1) - failing);
    this.#at = now;
  }

  reset(): void {
    this.#failing = 0;
  }

  #failingAt(now: Instant): number {
    return this.#failing === 0 ? 0 : this.#failing * Math.exp((this.#at - now) / FADES_IN_MS);
  }
}
