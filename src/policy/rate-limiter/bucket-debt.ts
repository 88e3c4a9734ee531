import type { Instant } from '../../core/clock.ts';
import { AccruedAmount } from './accrued-amount.ts';

/** What an instance with a part of a bucket without slices has had without a grant while the store is away. */
export class BucketDebt extends AccruedAmount {
  #reported = 0;

  /** For a claim. */
  report(now: Instant): number {
    this.#reported = this.of(now);
    return this.#reported;
  }

  /** Since the claim that is being answered. */
  unreported(now: Instant): number {
    return this.of(now) - this.#reported;
  }
}
