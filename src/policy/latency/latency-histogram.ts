/**
 * Quantiles of durations in bounded memory: counts in logarithmic steps of 10 %, from 1 ms to about an hour. Old observations decay: when
 * the total reaches the cap, all counts are halved.
 */

const STEP = Math.log(1.1);
const BUCKETS = 160;
const TOTAL_MAX = 2000;

export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;
  #seen = 0;
  #longest = 0;

  /** The number of durations ever recorded. */
  get count(): number {
    return this.#seen;
  }

  /** The longest duration ever recorded, exact, in milliseconds; 0: none. */
  get longest(): number {
    return this.#longest;
  }

  record(durationMs: number): void {
    const index = Math.min(BUCKETS - 1, Math.max(0, Math.ceil(Math.log(Math.max(1, durationMs)) / STEP)));
    this.#counts[index]!++;
    this.#seen++;
    this.#longest = Math.max(this.#longest, durationMs);
    if (++this.#total < TOTAL_MAX) return;
    this.#total = 0;
    for (let i = 0; i < BUCKETS; i++) this.#total += this.#counts[i]! /= 2;
  }

  /** The duration in milliseconds below which the share `q` of observations lies, rounded up to its step; 0: no observations. */
  quantile(q: number): number {
    let left = this.#total * q;
    if (left <= 0) return 0;
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#counts[i]!;
      if (left <= 1e-9) return Math.exp(i * STEP);
    }
    return Math.exp((BUCKETS - 1) * STEP);
  }
}
