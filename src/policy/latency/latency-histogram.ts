/**
 * Quantiles of durations in bounded memory: counts in logarithmic steps of 10 %, from 1 ms to about an hour. Old observations decay: when
 * the total reaches the cap, all counts are halved.
 */

const STEP = Math.log(1.1);
const BUCKETS = 160;
const TOTAL_MAX = 2000;
/** No count that is read is larger. */
const COUNT_MAX = 1e9;

/** What a histogram holds, as it is saved and sent to other instances. */
export interface LatencyCounts {
  /** The number of durations ever recorded; more than the counts where they have decayed. */
  readonly count: number;
  readonly longestMs: number;
  /** Pairs of a step and its count. */
  readonly steps: readonly number[];
}

export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;
  #seen = 0;
  #longest = 0;
  /** Recorded here since `takeNew`; null: nothing yet. */
  #fresh: Uint32Array | null = null;
  #hasNew = false;

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
    (this.#fresh ??= new Uint32Array(BUCKETS))[index]!++;
    this.#hasNew = true;
    this.#seen++;
    this.#longest = Math.max(this.#longest, durationMs);
    if (++this.#total >= TOTAL_MAX) this.#decay();
  }

  /** What was recorded here since the last call; null: nothing. */
  takeNew(): LatencyCounts | null {
    if (!this.#hasNew) return null;
    const steps = toSteps(this.#fresh!);
    this.#fresh!.fill(0);
    this.#hasNew = false;
    return { count: sumOf(steps), longestMs: this.#longest, steps };
  }

  /** Adds what another instance has recorded. */
  add({ count, longestMs, steps }: LatencyCounts): void {
    for (let i = 0; i < steps.length; i += 2) this.#counts[steps[i]!]! += steps[i + 1]!;
    this.#seen += count;
    this.#longest = Math.max(this.#longest, longestMs);
    this.#total += sumOf(steps);
    while (this.#total >= TOTAL_MAX) this.#decay();
  }

  save(): LatencyCounts {
    return { count: this.#seen, longestMs: this.#longest, steps: toSteps(this.#counts) };
  }

  /** Replaces what is known by a history with more durations, such as a saved one; what was recorded since `takeNew` is added. */
  restore(saved: LatencyCounts): void {
    if (saved.count <= this.#seen) return;
    const fresh = this.#hasNew ? toSteps(this.#fresh!) : [];
    const longestMs = this.#longest;
    this.#counts.fill(0);
    this.#total = 0;
    this.#seen = 0;
    this.add(saved);
    this.add({ count: sumOf(fresh), longestMs, steps: fresh });
  }

  #decay(): void {
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

/** Rounded: halved counts have many digits. */
function toSteps(counts: Float64Array | Uint32Array): number[] {
  const steps: number[] = [];
  counts.forEach((count, i) => {
    const rounded = Math.round(count * 100) / 100;
    if (rounded > 0) steps.push(i, rounded);
  });
  return steps;
}

function sumOf(steps: readonly number[]): number {
  let sum = 0;
  for (let i = 1; i < steps.length; i += 2) sum += steps[i]!;
  return sum;
}

/** True for what `save` and `takeNew` return. */
export function isLatencyCounts(value: object): value is LatencyCounts {
  const { count, longestMs, steps } = value as Record<string, unknown>;
  if (!isCount(count) || typeof longestMs !== 'number' || !(longestMs >= 0 && longestMs < Infinity)) return false;
  if (!Array.isArray(steps) || steps.length % 2 !== 0 || steps.length > 2 * BUCKETS) return false;
  return steps.every((each: unknown, i) => isCount(each) && (i % 2 === 1 || (Number.isInteger(each) && each < BUCKETS)));
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= COUNT_MAX;
}
