import type { Instant } from '../../core/clock.ts';

const SLICES = 10;

/** Successes and failures of the last `windowMs`, counted in ten slices. */
export class OutcomeWindow {
  readonly #sliceMs: number;
  readonly #successes = new Uint32Array(SLICES);
  readonly #failures = new Uint32Array(SLICES);
  /** The absolute number of the newest slice. */
  #newest = 0;

  constructor(windowMs: number) {
    this.#sliceMs = windowMs / SLICES;
  }

  record(now: Instant, failed: boolean): void {
    this.#advance(now);
    const counts = failed ? this.#failures : this.#successes;
    counts[this.#newest % SLICES]!++;
  }

  count(now: Instant): number {
    this.#advance(now);
    return sum(this.#successes) + sum(this.#failures);
  }

  /** Failures in the window as of the last `count` or `failureRatio`. */
  get failures(): number {
    return sum(this.#failures);
  }

  /** 0 where there are no outcomes. */
  failureRatio(now: Instant): number {
    const count = this.count(now);
    return count === 0 ? 0 : sum(this.#failures) / count;
  }

  /** Subtracts the outcomes of another window of the same length, which are a subset of these. */
  subtract(now: Instant, other: OutcomeWindow): void {
    this.#advance(now);
    other.#advance(now);
    for (let i = 0; i < SLICES; i++) {
      this.#successes[i] = Math.max(0, this.#successes[i]! - other.#successes[i]!);
      this.#failures[i] = Math.max(0, this.#failures[i]! - other.#failures[i]!);
    }
  }

  clear(): void {
    this.#successes.fill(0);
    this.#failures.fill(0);
  }

  #advance(now: Instant): void {
    const slice = Math.max(this.#newest, Math.floor(now / this.#sliceMs));
    const steps = Math.min(SLICES, slice - this.#newest);
    for (let i = 1; i <= steps; i++) {
      this.#successes[(slice - steps + i) % SLICES] = 0;
      this.#failures[(slice - steps + i) % SLICES] = 0;
    }
    this.#newest = slice;
  }
}

function sum(counts: Uint32Array): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
