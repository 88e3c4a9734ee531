import type { Instant } from '../../core/clock.ts';

/** A call counts as accepted once it has not been refused for as long as refusals take: the slowest one seen, decaying. */
const LAG_MIN_MS = 100;
const LAG_MAX_MS = 5_000;
const LAG_FALLS_TO = 0.98;
/** Calls with a pending outcome, initially and at most; beyond the maximum the oldest counts as accepted. */
const PENDING_FIRST = 32;
const PENDING_MAX = 2_048;
/** Refused calls are distributed evenly among those that started at the same instant, by the golden ratio. */
const SPREAD = 0.618_034;

export interface OutcomeListener {
  onOutcome(now: Instant, startedAt: Instant, isRefused: boolean): void;
}

/**
 * The outcomes of calls in the order of their starts. Refusals arrive within milliseconds but responses within seconds, so in the order of
 * arrival every burst would seem to begin with its refusals.
 */
export class CallOutcomes {
  readonly #listener: OutcomeListener;
  /** Allocated with the first start, because most known targets are never called. */
  #startedAt = new Float64Array(0);
  #isRefused = new Uint8Array(0);
  #first = 0;
  #length = 0;
  #lagMs = LAG_MIN_MS;
  #spread = 0;

  constructor(listener: OutcomeListener) {
    this.#listener = listener;
  }

  started(now: Instant): void {
    this.settle(now);
    if (this.#length === this.#startedAt.length) this.#makeRoom(now);
    const i = this.#indexOf(this.#length++);
    this.#startedAt[i] = now;
    this.#isRefused[i] = 0;
  }

  /** The newest start was not sent. */
  cancelled(): void {
    if (this.#length > 0 && this.#isRefused[this.#indexOf(this.#length - 1)] === 0) this.#length--;
  }

  refused(now: Instant, startedAt: Instant): void {
    this.#lagMs = Math.min(LAG_MAX_MS, Math.max(LAG_MIN_MS, now - startedAt, this.#lagMs * LAG_FALLS_TO));
    const from = this.#countBefore(startedAt);
    const group = this.#countBefore(startedAt, true) - from;
    this.#spread = (this.#spread + SPREAD) % 1;
    const offset = Math.floor(this.#spread * group);
    for (let nth = 0; nth < group; nth++) {
      const i = this.#indexOf(from + ((offset + nth) % group));
      if (this.#isRefused[i] !== 0) continue;
      this.#isRefused[i] = 1;
      return this.settle(now);
    }
    // It took longer than any refusal before, so its call already counts as accepted.
    this.settle(now);
    this.#listener.onOutcome(now, startedAt, true);
  }

  /** The number of calls that started at this instant or before and have not been refused so far. */
  openUntil(startedAt: Instant): number {
    let open = 0;
    const count = this.#countBefore(startedAt, true);
    for (let nth = 0; nth < count; nth++) if (this.#isRefused[this.#indexOf(nth)] === 0) open++;
    return open;
  }

  settle(now: Instant): void {
    while (this.#length > 0 && this.#startedAt[this.#first]! <= now - this.#lagMs) this.#settleOldest(now);
  }

  reset(): void {
    this.#length = 0;
  }

  #settleOldest(now: Instant): void {
    const i = this.#first;
    this.#first = this.#indexOf(1);
    this.#length--;
    this.#listener.onOutcome(now, this.#startedAt[i]!, this.#isRefused[i] !== 0);
  }

  #makeRoom(now: Instant): void {
    const size = this.#startedAt.length;
    if (size >= PENDING_MAX) return this.#settleOldest(now);
    const startedAt = new Float64Array(size === 0 ? PENDING_FIRST : 2 * size);
    const isRefused = new Uint8Array(startedAt.length);
    for (let nth = 0; nth < size; nth++) {
      startedAt[nth] = this.#startedAt[this.#indexOf(nth)]!;
      isRefused[nth] = this.#isRefused[this.#indexOf(nth)]!;
    }
    this.#startedAt = startedAt;
    this.#isRefused = isRefused;
    this.#first = 0;
  }

  /** The number of starts before an instant, or up to and including it. */
  #countBefore(instant: Instant, orAtIt = false): number {
    let [low, high] = [0, this.#length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const at = this.#startedAt[this.#indexOf(middle)]!;
      if (at < instant || (orAtIt && at === instant)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #indexOf(nth: number): number {
    return (this.#first + nth) % this.#startedAt.length;
  }
}
