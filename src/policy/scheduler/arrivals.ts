/**
 * Finds the oldest waiting request without iterating over all, for `oldestMs` on status pages: arrivals are counted by second in a ring. A
 * request that waits longer than the length of the ring shares a second with newer ones, and remains the oldest in it.
 */
import type { Instant } from '../../core/clock.ts';

const SECOND_MS = 1_000;
const SECONDS = 4_096;

export class Arrivals {
  readonly #counts = new Int32Array(SECONDS);
  /** The earliest arrival in each second since its count was last zero. */
  readonly #since = new Float64Array(SECONDS);

  /** Adds an arrival; `sign` -1 removes it. */
  count(since: Instant, sign: 1 | -1): void {
    const slot = Math.floor(since / SECOND_MS) & (SECONDS - 1);
    if (sign === 1) this.#since[slot] = this.#counts[slot] === 0 ? since : Math.min(since, this.#since[slot]!);
    this.#counts[slot]! += sign;
  }

  /** The arrival of the oldest waiting request, or up to a second before it; `now`: no request is waiting. */
  oldest(now: Instant): Instant {
    let oldest = now;
    for (let slot = 0; slot < SECONDS; slot++) if (this.#counts[slot]! > 0) oldest = Math.min(oldest, this.#since[slot]!);
    return oldest;
  }
}
