/**
 * An estimate of what a resource supplies to one class over time: what is available now and what flows in, less the backlog of higher
 * classes and their expected further usage at the recent rate, but at least the class's own share.
 *
 * Measured at three times the capacity: if arrivals of higher classes are expected, 3 % of requests wait and then expire, otherwise 32 %.
 */
import type { Instant } from '../../core/clock.ts';

/** The least share that is assumed to be left, however much higher classes took recently. */
const LEFT_MIN = 0.02;

/** One object, reused for every estimate. */
export class Supply {
  /** The first possible start, the amount supplied by then, and the time per further unit, in milliseconds. */
  #firstAt: Instant = 0;
  #atFirst = 0;
  #unitMs = 0;
  #higher = 0;
  #left = 1;
  #share = 0;
  /** No other class uses the resource, so the estimate is exact. */
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

  /** The time per further unit, in milliseconds. */
  get unitMs(): number {
    return this.#unitMs;
  }

  /** The amount supplied by an instant. */
  by(at: Instant): number {
    if (this.#unitMs === 0) return Infinity;
    const flow = (at - this.#firstAt) / this.#unitMs;
    return Math.max(0, this.#atFirst + flow * this.#left - this.#higher, (this.#atFirst + flow) * this.#share);
  }

  /** When an amount is supplied. */
  when(amount: number): Instant {
    const flow = Math.min(
      (amount + this.#higher - this.#atFirst) / this.#left,
      this.#share > 0 ? amount / this.#share - this.#atFirst : Infinity,
    );
    return this.#firstAt + Math.max(0, flow) * this.#unitMs;
  }
}
