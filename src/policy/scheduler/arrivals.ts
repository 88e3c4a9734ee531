/**
 * Since when those who wait have waited, without a look at each: counted by the second in which they came. Who has waited longer than
 * the ring is round shares a second with younger ones, and is still the oldest in it.
 */
import type { Instant } from '../../core/clock.ts';

const SECOND_MS = 1_000;
const SECONDS = 4_096;

export class Arrivals {
  readonly #counts = new Int32Array(SECONDS);
  /** When the first of those came who have been in this second ever since. */
  readonly #since = new Float64Array(SECONDS);

  /** `sign` -1 takes one out again. */
  count(since: Instant, sign: 1 | -1): void {
    const slot = Math.floor(since / SECOND_MS) & (SECONDS - 1);
    if (sign === 1) this.#since[slot] = this.#counts[slot] === 0 ? since : Math.min(since, this.#since[slot]!);
    this.#counts[slot]! += sign;
  }

  /** When the one came that has waited longest, or at most a second before it; `now`: nobody waits. */
  oldest(now: Instant): Instant {
    let oldest = now;
    for (let slot = 0; slot < SECONDS; slot++) if (this.#counts[slot]! > 0) oldest = Math.min(oldest, this.#since[slot]!);
    return oldest;
  }
}
