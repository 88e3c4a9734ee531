import type { Instant } from '../../core/clock.ts';

/** A window is counted in so many slots, each as if all of it had come at its end: late, never early. */
const SLOTS = 120;
/** So many parts of it are saved. */
const SAVED_SLOTS = 12;

/** What was taken at an instant and still counts, as it is saved. */
export interface SavedSlot {
  readonly epochMs: number;
  readonly amount: number;
}

/**
 * What is left of a limit that holds in any stretch of a window's length, as its owner may see it, who is up to `lagMs` behind us. All
 * that was taken counts until a window after it; so does what others took, as far as anybody tells of it. Memory and time are bounded
 * by the number of slots, whatever the limit.
 */
export class WindowedLevel {
  readonly capacity: number;
  readonly #windowMs: number;
  readonly #slotMs: number;
  /** Oldest first; `at` is the end of the slot. */
  #slots: { readonly at: Instant; amount: number }[] = [];
  #sum = 0;

  constructor(limit: number, windowMs: number, lagMs: number) {
    this.capacity = limit;
    this.#windowMs = windowMs + lagMs;
    this.#slotMs = windowMs / SLOTS;
  }

  /** Below zero where more was taken than there was. */
  at(now: Instant): number {
    this.#forget(now);
    return this.capacity - this.#sum;
  }

  /** When the level reaches `wanted` (at most the capacity) if nobody takes; only asked while it is lower. */
  reaches(now: Instant, wanted: number): Instant {
    let missing = wanted - this.at(now);
    for (const slot of this.#slots) {
      missing -= slot.amount;
      if (missing <= this.capacity * 1e-9) return slot.at + this.#windowMs;
    }
    return now + this.#windowMs + this.#slotMs;
  }

  take(now: Instant, amount: number): void {
    this.#forget(now);
    this.#sum += amount;
    const at = this.ticketAt(now);
    const last = this.#slots.at(-1);
    if (last === undefined || last.at < at) this.#slots.push({ at, amount });
    else last.amount += amount;
  }

  /** Gives back of what was taken at `takenAt`, while that still counts. */
  giveBack(now: Instant, amount: number, takenAt: Instant): void {
    this.#forget(now);
    const at = this.ticketAt(takenAt);
    for (let i = this.#slots.length - 1; i >= 0; i--) {
      const slot = this.#slots[i]!;
      if (slot.at < at) return;
      if (slot.at > at) continue;
      const back = Math.min(amount, slot.amount);
      slot.amount -= back;
      this.#sum -= back;
      return;
    }
  }

  ticketAt(takenAt: Instant): Instant {
    return Math.ceil(takenAt / this.#slotMs) * this.#slotMs;
  }

  /**
   * Somebody who knows better says what is there now. What others have taken counts as taken now; what was not taken after all is
   * that which would have come back first, so that no more comes back than there can be.
   */
  set(now: Instant, level: number): void {
    let surplus = level - this.at(now);
    if (surplus < 0) return this.take(now, -surplus);
    for (const slot of this.#slots) {
      const back = Math.min(surplus, Math.max(0, slot.amount));
      slot.amount -= back;
      this.#sum -= back;
      surplus -= back;
      if (surplus <= 0) return;
    }
  }

  save(now: Instant, epochMs: number): SavedSlot[] {
    this.#forget(now);
    const saved: { epochMs: number; amount: number }[] = [];
    const each = Math.ceil(this.#slots.length / SAVED_SLOTS);
    this.#slots.forEach(({ at, amount }, i) => {
      if (i % each === 0) saved.push({ epochMs: 0, amount: 0 });
      const last = saved.at(-1)!;
      last.epochMs = epochMs - (now - at);
      last.amount += amount;
    });
    return saved.filter(({ amount }) => amount > 0);
  }

  restore(now: Instant, epochMs: number, saved: readonly SavedSlot[]): void {
    this.#slots = [];
    this.#sum = 0;
    for (const { epochMs: takenMs, amount } of saved.toSorted((a, b) => a.epochMs - b.epochMs)) {
      const at = this.ticketAt(Math.min(now, now - (epochMs - takenMs)));
      this.#slots.push({ at, amount });
      this.#sum += amount;
    }
  }

  #forget(now: Instant): void {
    let gone = 0;
    while (gone < this.#slots.length && this.#slots[gone]!.at + this.#windowMs <= now) this.#sum -= this.#slots[gone++]!.amount;
    if (gone > 0) this.#slots.splice(0, gone);
    if (this.#slots.length === 0) this.#sum = 0;
  }
}
