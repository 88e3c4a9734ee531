import type { Instant } from '../../core/clock.ts';

/**
 * The level of a bucket as the provider may see it, up to `lagMs` behind us.
 *
 * The provider counts a call when it arrives, we when it is sent. What arrives in an interval T may have been sent in an interval T +
 * lag; so what is sent in any interval must stay within capacity + rate · (interval − lag). A smaller capacity would do that too, but
 * costs a start of every small limit. Instead refill is counted late: the level is that of a plain bucket `lagMs` ago, less what was
 * taken since. Takes are kept in slots, each counted at its end: late, never early.
 *
 * What is held is taken, and not sent yet: it is counted from when it is sent. Meanwhile the provider's bucket fills up to its capacity, and
 * ours up to its capacity less what is held.
 *
 * What is given back was never taken, as the provider sees it; but a fuller bucket would have been full sooner, and inflow into a full
 * bucket is lost. So no more comes back than had room at the fullest moment since the take.
 */
const SLOTS = 10;
/** Peaks that are kept; beyond it the oldest count for longer than they should, and less is given back. */
const PEAKS_MAX = 64;
/** The ticket of what is held. */
export const HELD: Instant = Infinity;
/** A level that can't be reached before something held is sent is looked at again so soon, in milliseconds. */
const HELD_AGAIN_MS = 20;

interface Slot {
  /** The end of the slot. */
  readonly at: Instant;
  amount: number;
}

export class LaggedLevel {
  #capacity: number;
  #ratePerMs: number;
  readonly #lagMs: number;
  readonly #slotMs: number;
  /** The plain bucket at `#at`, about `lagMs` ago. */
  #level: number;
  #at: Instant;
  /** What was taken since, oldest first: at most one more than there are slots. */
  readonly #pending: Slot[] = [];
  #pendingSum = 0;
  #held = 0;
  /** Each entry is the highest level since the one before it; levels only fall. */
  readonly #peaks: { at: Instant; level: number }[] = [];

  constructor(capacity: number, ratePerMs: number, lagMs: number, now: Instant) {
    this.#capacity = capacity;
    this.#ratePerMs = ratePerMs;
    this.#lagMs = lagMs;
    this.#slotMs = lagMs / SLOTS;
    this.#level = capacity;
    this.#at = now - lagMs;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Keeps the level, up to the new capacity, and what can be given back. */
  configure(now: Instant, capacity: number, ratePerMs: number): void {
    this.#advance(now);
    for (const peak of this.#peaks) peak.level += capacity - this.#capacity;
    this.#level = Math.min(capacity, this.#level);
    this.#capacity = capacity;
    this.#ratePerMs = ratePerMs;
  }

  /** At most `capacity`; below zero where more was taken than available. */
  at(now: Instant): number {
    this.#advance(now);
    return this.#level - this.#pendingSum - this.#held;
  }

  /** When the level reaches `wanted` (at most the capacity) if nothing is taken; only called while it is lower. */
  reaches(now: Instant, wanted: number): Instant {
    this.#advance(now);
    return wanted + this.#held > this.#capacity ? now + HELD_AGAIN_MS : this.#reaches(wanted + this.#held);
  }

  #reaches(wanted: number): Instant {
    let level = this.#level;
    let at = this.#at;
    let pending = this.#pendingSum;
    for (const slot of this.#pending) {
      // Above the capacity the bucket does not refill: it first drains what is still to be counted.
      if (wanted + pending <= this.#capacity) {
        const reached = at + (wanted + pending - level) / this.#ratePerMs;
        if (reached <= slot.at) return reached + this.#lagMs;
      }
      level = this.#refilled(level, slot.at - at) - slot.amount;
      pending -= slot.amount;
      at = slot.at;
    }
    return at + Math.max(0, wanted - level) / this.#ratePerMs + this.#lagMs;
  }

  /** Returns when it counts as taken, for `giveBack`. */
  take(now: Instant, amount: number): Instant {
    this.#advance(now);
    const at = this.ticketAt(now);
    this.#pendingSum += amount;
    const last = this.#pending.at(-1);
    if (last === undefined || last.at < at) this.#pending.push({ at, amount });
    else last.amount += amount;
    return this.#pending.at(-1)!.at;
  }

  /** Holds what was taken at `takenAt` until `send`. Returns its ticket. */
  hold(now: Instant, amount: number, takenAt: Instant): Instant {
    this.giveBack(now, amount, takenAt);
    this.#held += amount;
    return HELD;
  }

  /** What is held is sent now. Returns when it counts as taken. */
  send(now: Instant, amount: number): Instant {
    this.giveBack(now, amount, HELD);
    return this.take(now, amount);
  }

  /** Gives back a part of what was taken at `takenAt`; never above the capacity. */
  giveBack(now: Instant, amount: number, takenAt: Instant): void {
    this.#advance(now);
    if (takenAt === HELD) {
      this.#held = Math.max(0, this.#held - amount);
      return;
    }
    for (const slot of this.#pending) {
      if (slot.at !== takenAt) continue;
      slot.amount -= amount;
      this.#pendingSum -= amount;
      return;
    }
    let from = 0;
    while (from < this.#peaks.length && this.#peaks[from]!.at <= takenAt) from++;
    // Peaks only fall: the first since then is the highest.
    const fullest = Math.max(this.#level, this.#peaks[from]?.level ?? -Infinity);
    const back = Math.max(0, Math.min(amount, this.#capacity - fullest));
    if (back === 0) return;
    this.#level += back;
    // With the smaller take, later moments would have been fuller by as much.
    const raised = this.#peaks.splice(from);
    for (const { at, level } of raised) this.#notePeak(at, level + back);
  }

  /** Adds to the level, or takes from it, what another instance's part of the bucket gave or got: no call is counted, so it applies at once. */
  move(now: Instant, amount: number): void {
    this.#advance(now);
    this.#level += amount;
  }

  /** The level including takes that are not counted yet: a smaller capacity would lose some. */
  uncounted(now: Instant): number {
    this.#advance(now);
    return this.#level;
  }

  /** What `take` would return for an amount taken at that instant. */
  ticketAt(takenAt: Instant): Instant {
    return this.#slotMs === 0 ? takenAt : Math.ceil(takenAt / this.#slotMs) * this.#slotMs;
  }

  /** Sets the level from a better source, which has counted all that was taken already. */
  set(now: Instant, level: number): void {
    this.restore(now, Math.min(this.capacity, level) - this.#lagMs * this.#ratePerMs, 0);
  }

  /** Starts over from a level saved `passedMs` ago. */
  restore(now: Instant, level: number, passedMs: number): void {
    this.#pending.length = 0;
    this.#pendingSum = 0;
    this.#peaks.length = 0;
    this.#level = this.#refilled(Math.min(this.#capacity, level), passedMs);
    this.#at = now - this.#lagMs;
  }

  #refilled(level: number, passedMs: number): number {
    return Math.min(this.#capacity, level + passedMs * this.#ratePerMs);
  }

  #advance(now: Instant): void {
    const seen = now - this.#lagMs;
    for (let slot = this.#pending[0]; slot !== undefined && slot.at <= seen; slot = this.#pending[0]) {
      const level = this.#refilled(this.#level, slot.at - this.#at);
      this.#notePeak(slot.at, level);
      this.#level = level - slot.amount;
      this.#at = slot.at;
      this.#pendingSum -= slot.amount;
      this.#pending.shift();
    }
    if (this.#pending.length === 0) this.#pendingSum = 0;
    if (seen <= this.#at) return;
    this.#level = this.#refilled(this.#level, seen - this.#at);
    this.#at = seen;
  }

  #notePeak(at: Instant, level: number): void {
    while (this.#peaks.length > 0 && this.#peaks.at(-1)!.level <= level) this.#peaks.pop();
    this.#peaks.push({ at, level });
    if (this.#peaks.length <= PEAKS_MAX) return;
    const [oldest] = this.#peaks.splice(0, 1);
    this.#peaks[0]!.level = oldest!.level;
  }
}
