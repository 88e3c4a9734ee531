import type { Instant } from '../../core/clock.ts';

const SLOT_MS = 5_000;
const SLOTS = 12;
/** A rate is averaged over at least this, in milliseconds. */
const SHORTEST_MS = 1_000;
const MINUTE_MS = SLOT_MS * SLOTS;

/**
 * Starts of about the last minute that were not refused, in slots of five seconds. Starts that failed for other reasons are included,
 * because providers count most of them.
 */
export class AcceptedCount {
  readonly #amounts = new Float64Array(SLOTS);
  readonly #calls = new Float64Array(SLOTS);
  /** The absolute number of the newest slot. */
  #slot = -Infinity;
  /** Since when there have been starts without a pause of a minute. */
  #since: Instant = 0;

  /** Negative amounts remove starts that were refused or never sent. */
  add(now: Instant, amount: number, calls: number): void {
    this.#advance(now);
    this.#amounts[this.#slot % SLOTS]! += amount;
    this.#calls[this.#slot % SLOTS]! += calls;
  }

  /** Extrapolated where the history is shorter than a minute. */
  perMinute(now: Instant): number {
    return this.#rate(now, this.#amounts);
  }

  callsPerMinute(now: Instant): number {
    return this.#rate(now, this.#calls);
  }

  /** The amount of each slot, oldest first, with the end of the slot. */
  lately(now: Instant): { at: Instant; amount: number }[] {
    this.#advance(now);
    const parts: { at: Instant; amount: number }[] = [];
    for (let slot = this.#slot - SLOTS + 1; slot <= this.#slot; slot++) {
      const amount = slot < 0 ? 0 : this.#amounts[slot % SLOTS]!;
      if (amount > 0) parts.push({ at: Math.min(now, (slot + 1) * SLOT_MS), amount });
    }
    return parts;
  }

  reset(): void {
    this.#slot = -Infinity;
  }

  #rate(now: Instant, counts: Float64Array): number {
    this.#advance(now);
    const sum = counts.reduce((all, count) => all + count, 0);
    return (sum * MINUTE_MS) / Math.min(MINUTE_MS, Math.max(SHORTEST_MS, now - this.#since));
  }

  #advance(now: Instant): void {
    const slot = Math.floor(now / SLOT_MS);
    if (slot - this.#slot >= SLOTS) {
      this.#amounts.fill(0);
      this.#calls.fill(0);
      this.#since = now;
      this.#slot = slot;
    }
    while (this.#slot < slot) {
      this.#slot++;
      this.#amounts[this.#slot % SLOTS] = 0;
      this.#calls[this.#slot % SLOTS] = 0;
    }
  }
}
