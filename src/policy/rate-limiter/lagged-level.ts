import type { Instant } from '../../core/clock.ts';

/**
 * The level of a bucket as its owner may see it, who is up to `lagMs` behind us.
 *
 * The provider counts when a call arrives, we when it leaves. What arrives in a stretch T may have left in a stretch
 * T + lag; so what leaves in any stretch must stay within capacity + rate · (stretch − lag). A smaller capacity would
 * do that too, but costs a start of every small limit. Instead refill is counted late: the level is that of a plain
 * bucket `lagMs` ago, less what was taken since. Takes are kept in slots, each counted at its end: late, never early.
 */
const SLOTS = 10;

interface Slot {
  /** The end of the slot. */
  readonly at: Instant;
  amount: number;
}

export class LaggedLevel {
  readonly capacity: number;
  readonly #ratePerMs: number;
  readonly #lagMs: number;
  readonly #slotMs: number;
  /** The plain bucket as it was at `#at`, about `lagMs` ago. */
  #level: number;
  #at: Instant;
  /** What was taken since, oldest first: at most one more than there are slots. */
  readonly #pending: Slot[] = [];
  #pendingSum = 0;

  constructor(capacity: number, ratePerMs: number, lagMs: number, now: Instant) {
    this.capacity = capacity;
    this.#ratePerMs = ratePerMs;
    this.#lagMs = lagMs;
    this.#slotMs = lagMs / SLOTS;
    this.#level = capacity;
    this.#at = now - lagMs;
  }

  /** At most `capacity`; below zero where more was taken than there was. */
  at(now: Instant): number {
    this.#advance(now);
    return this.#level - this.#pendingSum;
  }

  /** When the level reaches `wanted` (at most the capacity) if nobody takes; only asked while it is lower. */
  reaches(now: Instant, wanted: number): Instant {
    this.#advance(now);
    let level = this.#level;
    let at = this.#at;
    let pending = this.#pendingSum;
    for (const slot of this.#pending) {
      // Above the capacity the bucket does not fill, so it has to drain first of what is still to be counted.
      if (wanted + pending <= this.capacity) {
        const reached = at + (wanted + pending - level) / this.#ratePerMs;
        if (reached <= slot.at) return reached + this.#lagMs;
      }
      level = this.#refilled(level, slot.at - at) - slot.amount;
      pending -= slot.amount;
      at = slot.at;
    }
    return at + Math.max(0, wanted - level) / this.#ratePerMs + this.#lagMs;
  }

  take(now: Instant, amount: number): void {
    this.#advance(now);
    const at = this.#slotMs === 0 ? now : Math.ceil(now / this.#slotMs) * this.#slotMs;
    const last = this.#pending.at(-1);
    if (last !== undefined && last.at >= at) last.amount += amount;
    else this.#pending.push({ at, amount });
    this.#pendingSum += amount;
  }

  /** Gives back what was taken before; never above the capacity. */
  giveBack(now: Instant, amount: number): void {
    this.#advance(now);
    let left = amount;
    for (let slot = this.#pending.at(-1); slot !== undefined && left > 0; slot = this.#pending.at(-1)) {
      const back = Math.min(left, slot.amount);
      slot.amount -= back;
      left -= back;
      this.#pendingSum -= back;
      if (slot.amount <= 0) this.#pending.pop();
    }
    if (this.#pending.length === 0) this.#pendingSum = 0;
    this.#level = Math.min(this.capacity, this.#level + left);
  }

  /** Starts over with a level that was saved `passedMs` ago. */
  restore(now: Instant, level: number, passedMs: number): void {
    this.#pending.length = 0;
    this.#pendingSum = 0;
    this.#level = this.#refilled(Math.min(this.capacity, level), passedMs);
    this.#at = now - this.#lagMs;
  }

  #refilled(level: number, passedMs: number): number {
    return Math.min(this.capacity, level + passedMs * this.#ratePerMs);
  }

  #advance(now: Instant): void {
    const seen = now - this.#lagMs;
    for (let slot = this.#pending[0]; slot !== undefined && slot.at <= seen; slot = this.#pending[0]) {
      this.#level = this.#refilled(this.#level, slot.at - this.#at) - slot.amount;
      this.#at = slot.at;
      this.#pendingSum -= slot.amount;
      this.#pending.shift();
    }
    if (this.#pending.length === 0) this.#pendingSum = 0;
    if (seen <= this.#at) return;
    this.#level = this.#refilled(this.#level, seen - this.#at);
    this.#at = seen;
  }
}
