/**
 * How much of a resource one class will have been given by an instant, as far as that is known: what is there and what flows in, less
 * what the higher classes take, who wait now and who will come at the rate at which they came of late; but never less than the class's
 * own share.
 */
import type { Instant } from '../../core/clock.ts';

/** Whatever the higher classes took of late, they may leave so much. */
const LEFT_MIN = 0.02;

/** One object, filled anew for every question. */
export class Supply {
  /** When the first can start; what has been given by then; and how long each further unit takes, in milliseconds. */
  #firstAt: Instant = 0;
  #atFirst = 0;
  #unitMs = 0;
  #higher = 0;
  #left = 1;
  #share = 0;
  /** Nobody else takes of it: what is reckoned comes true. */
  isSure = true;

  of(firstAt: Instant, atFirst: number, unitMs: number): this {
    this.#firstAt = firstAt;
    this.#atFirst = atFirst;
    this.#unitMs = unitMs;
    return this;
  }

  /** `higher`: what the higher classes wait for; `rate`: their part of what was given of late; `share`: what they leave in any case. */
  after(higher: number, rate: number, share: number): this {
    this.#higher = higher;
    this.#share = share;
    this.isSure = rate === 0;
    this.#left = Math.max(LEFT_MIN, share, 1 - rate);
    return this;
  }

  /** How long each further unit takes to come. */
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
