import type { Instant } from '../../core/clock.ts';

/**
 * The level of a token bucket as the provider may see it, up to `lagMs` later than this process.
 *
 * ## Late counting
 *
 * The provider counts a call when it arrives, this process when it is sent. The calls that arrive within an interval T may have been sent
 * within an interval T + lag. So what is sent within any interval must stay within capacity + rate · (interval − lag). A smaller capacity
 * would achieve that too, but would cost every small limit a start. Instead refill is counted late: the level is that of an ordinary bucket
 * `lagMs` ago, less what was taken since. Takes are grouped into slots, and each counts at the end of its slot, so late and never early.
 *
 * ## Holds
 *
 * What is held is taken and not sent yet. It counts from when it is sent: meanwhile the provider's bucket refills up to its capacity, and
 * this one up to its capacity less what is held.
 *
 * ## Refunds
 *
 * From the provider's view, a refunded amount was never taken. But without that take the bucket would have been full sooner, and inflow
 * into a full bucket is lost. So a refund is limited to the free capacity at the fullest moment since the take.
 */
const SLOTS = 10;
/** Stored peaks; beyond this the oldest count for too long, and less is refunded. */
const PEAKS_MAX = 64;
/** The ticket of what is held. */
export const HELD: Instant = Infinity;
/** A level that can't be reached before something held is sent is evaluated again after this, in milliseconds. */
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
  /** The level of the ordinary bucket at `#at`, about `lagMs` ago. */
  #level: number;
  #at: Instant;
  /** Amounts taken since then, oldest first: at most one more than there are slots. */
  readonly #pending: Slot[] = [];
  #pendingSum = 0;
  #held = 0;
  /** Each entry is the highest level since the entry before it; levels decrease along the list. */
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

  /** Keeps the level, up to the new capacity, and the amounts that can be refunded. */
  configure(now: Instant, capacity: number, ratePerMs: number): void {
    this.#advance(now);
    for (const peak of this.#peaks) peak.level += capacity - this.#capacity;
    this.#level = Math.min(capacity, this.#level);
    this.#capacity = capacity;
    this.#ratePerMs = ratePerMs;
  }

  /** At most `capacity`; negative where more was taken than available. */
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
      // Above the capacity the bucket does not refill until the pending takes have been subtracted.
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

  /** Returns the instant at which it counts as taken, for `giveBack`. */
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

  /** Sends what is held. Returns when it counts as taken. */
  send(now: Instant, amount: number): Instant {
    this.giveBack(now, amount, HELD);
    return this.take(now, amount);
  }

  /** Gives back a part of what was taken at `takenAt`; never beyond the capacity. */
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
    // Peaks decrease: the first one since the take is the highest.
    const fullest = Math.max(this.#level, this.#peaks[from]?.level ?? -Infinity);
    const back = Math.max(0, Math.min(amount, this.#capacity - fullest));
    if (back === 0) return;
    this.#level += back;
    // With the smaller take, later levels would have been higher by as much.
    const raised = this.#peaks.splice(from);
    for (const { at, level } of raised) this.#notePeak(at, level + back);
  }

  /** Moves an amount between this part of the bucket and other instances. No call is involved, so it applies at once. */
  move(now: Instant, amount: number): void {
    this.#advance(now);
    this.#level += amount;
  }

  /** The level without pending takes: a smaller capacity would lose some of it. */
  uncounted(now: Instant): number {
    this.#advance(now);
    return this.#level;
  }

  /** The ticket that `take` would have returned at that instant. */
  ticketAt(takenAt: Instant): Instant {
    return this.#slotMs === 0 ? takenAt : Math.ceil(takenAt / this.#slotMs) * this.#slotMs;
  }

  /** Sets the level from a better source, which has counted every take so far. */
  set(now: Instant, level: number): void {
    this.restore(now, Math.min(this.capacity, level) - this.#lagMs * this.#ratePerMs, 0);
  }

  /** Restores a level that was saved `passedMs` ago. */
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
