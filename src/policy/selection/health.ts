import type { Instant } from '../../core/clock.ts';

const WEIGHT_OF_NEWEST = 0.1;
/** A target always keeps some weight: without calls it could never recover. */
const HEALTH_MIN = 0.05;
/** Failures decay to a third in this time, in milliseconds, so that a target with few calls recovers too. */
const DECAY_MS = 300_000;

/** The recent success rate of a target, as a moving average over its attempts. */
export class Health {
  #failureRate = 0;
  #at: Instant = 0;

  valueAt(now: Instant): number {
    return Math.max(HEALTH_MIN, 1 - this.#failureRateAt(now));
  }

  record(now: Instant, success: boolean): void {
    const rate = this.#failureRateAt(now);
    this.#failureRate = rate + WEIGHT_OF_NEWEST * ((success ? 0 : 1) - rate);
    this.#at = now;
  }

  reset(): void {
    this.#failureRate = 0;
  }

  #failureRateAt(now: Instant): number {
    return this.#failureRate === 0 ? 0 : this.#failureRate * Math.exp((this.#at - now) / DECAY_MS);
  }
}
