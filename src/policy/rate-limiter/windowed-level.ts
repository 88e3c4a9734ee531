import type { Instant } from '../../core/clock.ts';

/** The number of slots of a window. A slot counts as if all of it had come with its last start, so late and never early. */
const SLOTS = 300;
/** The number of slots that are saved. */
const SAVED_SLOTS = 12;

interface Slot {
  readonly number: number;
  /** The instant of the last start in it. */
  at: Instant;
  amount: number;
}

/** An amount taken at an instant that still counts, as it is saved. */
export interface SavedSlot {
  readonly epochMs: number;
  readonly amount: number;
}

/**
 * The level of a sliding-window limit as the provider may see it, up to `lagMs` later than this process. Every amount counts for one
 * window, including amounts taken by others as far as they are reported. Memory and time are bounded by the number of slots, whatever the
 * limit.
 */
export class WindowedLevel {
  readonly capacity: number;
  readonly #windowMs: number;
  readonly #lagMs: number;
  readonly #slotMs: number;
  /** Oldest first. */
  #slots: Slot[] = [];
  #sum = 0;
  /** Slots that left the window, kept for one more window. */
  #past: Slot[] = [];

  constructor(limit: number, windowMs: number, lagMs: number) {
    this.capacity = limit;
    this.#lagMs = lagMs;
    this.#windowMs = windowMs + lagMs;
    this.#slotMs = windowMs / SLOTS;
  }

  /** Negative where more was taken than available. */
  at(now: Instant): number {
    this.#forget(now);
    return this.capacity - this.#sum;
  }

  /** When the level reaches `wanted` (at most the capacity) if nothing is taken; only called while it is lower. */
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
    const number = this.ticketAt(now);
    const last = this.#slots.at(-1);
    if (last === undefined || last.number < number) this.#slots.push({ number, at: now, amount });
    else {
      last.amount += amount;
      last.at = now;
    }
  }

  /** Gives back a part of what was taken at `takenAt`, while that still counts. */
  giveBack(now: Instant, amount: number, takenAt: Instant): void {
    this.#forget(now);
    const number = this.ticketAt(takenAt);
    for (let i = this.#slots.length - 1; i >= 0; i--) {
      const slot = this.#slots[i]!;
      if (slot.number < number) return;
      if (slot.number > number) continue;
      const back = Math.min(amount, slot.amount);
      slot.amount -= back;
      this.#sum -= back;
      return;
    }
  }

  /** The upper bound of the level: including amounts that may already have left the provider's window. */
  atMost(now: Instant): number {
    let level = this.at(now);
    const soon = now - this.#windowMs + this.#slotMs + this.#lagMs;
    for (let i = 0; i < this.#slots.length && this.#slots[i]!.at <= soon; i++) level += this.#slots[i]!.amount;
    return level;
  }

  /** The amount that left the window since an instant at most a window ago. */
  returnedSince(now: Instant, since: Instant): number {
    this.#forget(now);
    let sum = 0;
    for (let i = this.#past.length - 1; i >= 0 && this.#past[i]!.at + this.#windowMs > since; i--) sum += this.#past[i]!.amount;
    return sum;
  }

  /** The number of the slot that contains an instant. */
  ticketAt(takenAt: Instant): number {
    return Math.ceil(takenAt / this.#slotMs);
  }

  /**
   * Sets the level from a better source. Usage by others counts as taken at `usedAt`; an excess is subtracted from what would leave the window
   * first, so that no more returns than possible.
   */
  set(now: Instant, level: number, usedAt = now): void {
    let surplus = level - this.at(now);
    if (surplus < 0) return usedAt < now ? this.#insert(usedAt, -surplus) : this.take(now, -surplus);
    for (const slot of this.#slots) {
      const back = Math.min(surplus, Math.max(0, slot.amount));
      slot.amount -= back;
      this.#sum -= back;
      surplus -= back;
      if (surplus <= 0) return;
    }
  }

  #insert(at: Instant, amount: number): void {
    this.#slots.splice(this.#slots.findLastIndex((slot) => slot.at <= at) + 1, 0, { number: this.ticketAt(at), at, amount });
    this.#sum += amount;
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
      const at = Math.min(now, now - (epochMs - takenMs));
      this.#slots.push({ number: this.ticketAt(at), at, amount });
      this.#sum += amount;
    }
  }

  #forget(now: Instant): void {
    let gone = 0;
    while (gone < this.#slots.length && this.#slots[gone]!.at + this.#windowMs <= now) this.#sum -= this.#slots[gone++]!.amount;
    if (gone === 0) return;
    this.#past.push(...this.#slots.splice(0, gone));
    let over = 0;
    while (this.#past[over]!.at + 2 * this.#windowMs <= now && over + 1 < this.#past.length) over++;
    if (over > 0) this.#past.splice(0, over);
    if (this.#slots.length === 0) this.#sum = 0;
  }
}
