import { assert } from '../../core/assert.ts';
import type { Instant } from '../../core/clock.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Resource } from '../../core/resource.ts';

/** At most `limit` calls at once. */
export class ConcurrencyLimiter implements Resource {
  readonly id: string;
  readonly kind = 'concurrency';
  #limit: number;
  #inUse = 0;

  constructor(id: string, limit: number) {
    this.id = id;
    this.#limit = limit;
  }

  get limit(): number {
    return this.#limit;
  }

  /** With a lower limit, running calls above it continue. */
  setLimit(limit: number): void {
    this.#limit = limit;
  }

  get inUse(): number {
    return this.#inUse;
  }

  earliest(now: Instant): Instant {
    if (this.#inUse < this.#limit) return now;
    return this.#inUse > 0 ? WHEN_SETTLED : Infinity;
  }

  reserve(): number {
    this.#inUse++;
    return 0;
  }

  settle(): void {
    this.#release();
  }

  cancel(): void {
    this.#release();
  }

  available(): number {
    return this.#limit - this.#inUse;
  }

  #release(): void {
    assert(this.#inUse > 0, 'a concurrency slot is released once');
    this.#inUse--;
  }
}
