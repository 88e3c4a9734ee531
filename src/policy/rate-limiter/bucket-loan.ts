import type { Instant } from '../../core/clock.ts';
import { AccruedAmount } from './accrued-amount.ts';

/**
 * What an instance with a slice of a bucket uses of the pool while the store is away: an amount, and a rate of refill. Known to this instance
 * alone, so that a lost reply counts nothing twice: once the store is back, what it used beyond its slice is a level below zero.
 */
export class BucketLoan {
  readonly amount: number;
  /** The amount, and the refill since. */
  readonly #lent: AccruedAmount;
  /** Its own level without the loan, and what it has taken since, refunds not deducted. */
  readonly #level: number;
  #taken = 0;

  constructor(at: Instant, level: number, amount: number, ratePerMs: number) {
    this.#level = level;
    this.amount = amount;
    this.#lent = new AccruedAmount(at, amount, ratePerMs);
  }

  take(amount: number): void {
    this.#taken += amount;
  }

  /** The limit has changed. */
  setRate(now: Instant, ratePerMs: number): void {
    this.#lent.setRate(now, ratePerMs);
  }

  /** The larger one of two lower bounds: the first loses what did not fit, the second refunds. `level`: with the loan. */
  levelWithout(now: Instant, level: number): number {
    return Math.max(level - this.#lent.of(now), this.#level - this.#taken);
  }
}
