/**
 * How the time to first content depends on the number of running calls, independently of prompt length.
 *
 * The logarithm of each time is modelled as the sum of a term for its kind of call (the order of magnitude of its prompt), a term for the
 * number of running calls, and noise. Both terms are moving averages, fitted alternately, so that a change in the mix of prompts does not
 * look like a change in load.
 *
 * Measured at a provider that slows down above 20 calls (`learning.test.ts`): 22 running calls with this model, 57 without.
 */
const KINDS = 64;
/** Steps of the number of running calls: a quarter each. */
const STEP = Math.log(1.25);
const LEVELS = 48;
/** Observations in an average. */
const LEVEL_MEMORY = 60;
const KIND_MEMORY = 200;
const NOISE_MEMORY = 200;
/** The prior for the noise, assuming a 95th percentile of three times the median. */
const NOISE_FIRST = 0.67;

export class LatencyByLoad {
  readonly #kindMean = new Float64Array(KINDS);
  readonly #kindCount = new Float64Array(KINDS);
  /** Recent frequency of each kind, and their sum. */
  readonly #kindShare = new Float64Array(KINDS);
  #shares = 0;
  readonly #levelMean = new Float64Array(LEVELS);
  readonly #levelCount = new Float64Array(LEVELS);
  #variance = NOISE_FIRST * NOISE_FIRST;

  /** The standard deviation of the logarithm of one observation. */
  get noise(): number {
    return Math.sqrt(this.#variance);
  }

  /** Returns the logarithm of the time relative to the average of its kind. `kind` is below 64. */
  record(kind: number, running: number, ms: number): number {
    const log = Math.log(Math.max(1, ms));
    const level = levelOf(running);
    if (this.#kindCount[kind] === 0) this.#kindMean[kind] = log - this.#levelMean[level]!;
    const excess = log - this.#kindMean[kind]!;
    this.#levelMean[level]! += (excess - this.#levelMean[level]!) / Math.min(LEVEL_MEMORY, ++this.#levelCount[level]!);
    const left = excess - this.#levelMean[level]!;
    this.#moveKind(kind, left / Math.min(KIND_MEMORY, ++this.#kindCount[kind]! + 1));
    if (this.#levelCount[level]! > 3) this.#variance += (left * left - this.#variance) / NOISE_MEMORY;
    return excess;
  }

  /** The average at this many running calls or fewer; `weight`: its number of observations. Returns the same object every time. */
  upTo(running: number): { mean: number; weight: number } {
    const end = levelOf(running);
    let [sum, weight] = [0, 0];
    for (let level = 0; level <= end; level++) {
      const count = Math.min(LEVEL_MEMORY, this.#levelCount[level]!);
      sum += count * this.#levelMean[level]!;
      weight += count;
    }
    this.#below.mean = weight === 0 ? 0 : sum / weight;
    this.#below.weight = weight;
    return this.#below;
  }
  readonly #below = { mean: 0, weight: 0 };

  reset(): void {
    for (const counts of [this.#kindMean, this.#kindCount, this.#kindShare, this.#levelMean, this.#levelCount]) counts.fill(0);
    this.#shares = 0;
  }

  /** A change common to all kinds is attributed to load; otherwise kinds without recent calls would seem to change. */
  #moveKind(kind: number, by: number): void {
    for (let i = 0; i < KINDS; i++) this.#kindShare[i]! *= 1 - 1 / KIND_MEMORY;
    this.#kindShare[kind]!++;
    this.#shares += 1 - this.#shares / KIND_MEMORY;
    this.#kindMean[kind]! += by;
    const common = (by * this.#kindShare[kind]!) / this.#shares;
    for (let level = 0; level < LEVELS; level++) this.#levelMean[level]! -= common;
  }
}

function levelOf(running: number): number {
  return Math.min(LEVELS - 1, Math.max(0, Math.round(Math.log(Math.max(1, running)) / STEP)));
}
