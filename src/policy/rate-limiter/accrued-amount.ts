import type { Instant } from '../../core/clock.ts';

/** An amount that grows at a rate, which may change. */
export class AccruedAmount {
  #at: Instant;
  #amount: number;
  #ratePerMs: number;

  constructor(at: Instant, amount: number, ratePerMs: number) {
    this.#at = at;
    this.#amount = amount;
    this.#ratePerMs = ratePerMs;
  }

  of(now: Instant): number {
    return this.#amount + this.#ratePerMs * (now - this.#at);
  }

  /** From now on. */
  setRate(now: Instant, ratePerMs: number): void {
    this.#amount = this.of(now);
    this.#at = now;
    this.#ratePerMs = ratePerMs;
  }
}
