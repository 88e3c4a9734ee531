/**
 * The supply of a resource to one class over time, as far as it is known: what is available and what flows in, less what higher classes
 * wait for and are expected to take at their recent rate; never less than the class's own share.
 *
 * Expecting arrivals of higher classes earns 3 % instead of 32 % of waits in vain at three times the capacity.
 */
import type { Instant } from '../../core/clock.ts';

/** The share that is assumed to be left, whatever higher classes took recently. */
const LEFT_MIN = 0.02;

/** One object, set anew for every question. */
export class Supply {
  /** The first possible start, the amount supplied by then, and the time for each further unit, in milliseconds. */
  #firstAt: Instant = 0;
  #atFirst = 0;
  #unitMs = 0;
  #higher = 0;
  #left = 1;
  #share = 0;
  /** No other class takes of it, so the estimate is exact. */
  isSure = true;

  of(firstAt: Instant, atFirst: number, unitMs: number): this {
    this.#firstAt = firstAt;
    this.#atFirst = atFirst;
    this.#unitMs = unitMs;
    return this;
  }

  /** `higher`: the backlog of the higher classes; `rate`: their share of recent allocations; `share`: what they leave in any case. */
  after(higher: number, rate: number, share: number): this {
    this.#higher = higher;
    this.#share = share;
    this.isSure = rate === 0;
    this.#left = Math.max(LEFT_MIN, share, 1 - rate);
    return this;
  }

  /** The time for each further unit, in milliseconds. */
  get unitMs(): number {
    return this.#unitMs;
  }

  by(at: Instant): number {
    if (this.#unitMs === 0) return Infinity;
    const flow = (at - this.#firstAt) / this.#unitMs;
    return Math.max(0, this.#atFirst + flow * this.#left - this.#higher, (this.#atFirst + flow) * this.#share);
  }

  when(amount: number): Instant {
    const flow = Math.min(
      (amount + this.#higher - this.#atFirst) / this.#left,
      this.#share > 0 ? amount / this.#share - this.#atFirst : Infinity,
    );
    return this.#firstAt + Math.max(0, flow) * this.#unitMs;
  }
}
