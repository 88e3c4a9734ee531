import type { Instant } from '../../core/clock.ts';
import type { Need, Resource, ResourceKind, Settlement } from '../../core/resource.ts';
import { guardMs, settledAmount } from './token-bucket.ts';
import type { LimitMeasure, LimitOptions } from './token-bucket.ts';

interface Start {
  readonly at: Instant;
  amount: number;
}

/** The most starts that `returning` counts. */
const COUNTED_MAX = 100_000;
const EPSILON = 1e-6;

export interface WindowLevel {
  /** Amounts that still count, each with the epoch millisecond of its start. */
  readonly starts: readonly { readonly epochMs: number; readonly amount: number }[];
}

/**
 * At most `limit` in any interval of `windowMs`, for providers that enforce a sliding window. Stores every start of the last window: memory
 * is bounded by the limit itself for requests, and by the requests of one window for tokens.
 */
export class SlidingWindow implements Resource {
  readonly id: string;
  readonly kind: ResourceKind;
  readonly isWindow = true;
  #limit: number;
  readonly #measure: LimitMeasure;
  readonly windowMs: number;
  /** The window plus the assumed lag of the provider. */
  readonly #countedMs: number;
  #starts: Start[] = [];
  /** The index in `#starts` of the oldest start that counts, and its ticket. */
  #head = 0;
  #headTicket = 1;
  #used = 0;

  constructor(options: LimitOptions) {
    this.id = options.id;
    this.kind = options.kind;
    this.#limit = options.limit;
    this.#measure = options.measure;
    this.windowMs = options.windowMs;
    this.#countedMs = options.windowMs + guardMs(options.windowMs);
  }

  get limit(): number {
    return this.#limit;
  }

  /** Equals `limit`, unless that is one instance's part. */
  get wholeLimit(): number {
    return this.#limit;
  }

  /** Applies at once, for waiting requests too; what was taken stays taken. */
  setLimit(limit: number): void {
    this.#limit = limit;
  }

  earliest(now: Instant, need: Need): Instant {
    return this.#earliest(now, this.#measure.of(need));
  }

  earliestAfter(now: Instant, ahead: Need, need: Need): Instant {
    const amount = this.#measure.of(need);
    if (amount <= 0 || amount > this.limit + EPSILON) return this.#earliest(now, amount);
    // What fills one window can be taken again in the next.
    const total = amount + Math.max(0, this.#measure.of(ahead));
    const windows = Math.max(0, Math.ceil((total - EPSILON) / this.limit) - 1);
    return this.#earliest(now, total - windows * this.limit) + windows * this.#countedMs;
  }

  #earliest(now: Instant, amount: number): Instant {
    if (amount <= 0) return now;
    if (amount > this.limit + EPSILON) return Infinity;
    this.#forget(now);
    let missing = this.#used + amount - this.limit;
    if (missing <= EPSILON) return now;
    for (let i = this.#head; i < this.#starts.length; i++) {
      const start = this.#starts[i]!;
      missing -= start.amount;
      if (missing <= EPSILON) return start.at + this.#countedMs;
    }
    return now + this.#countedMs;
  }

  reserve(now: Instant, need: Need): number {
    this.#forget(now);
    const amount = this.#measure.of(need);
    this.#starts.push({ at: now, amount });
    this.#used += amount;
    return this.#headTicket + (this.#starts.length - 1 - this.#head);
  }

  onSent(now: Instant, ticket: number, need: Need): number {
    this.cancel(now, ticket);
    return this.reserve(now, need);
  }

  settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void {
    if (settlement.unsent === true) return this.cancel(now, ticket);
    const start = this.#find(now, ticket);
    const used = settledAmount(this.#measure, this.wholeLimit, settlement.usage, need);
    if (start !== undefined && used !== null) this.#correct(start, used);
  }

  cancel(now: Instant, ticket: number): void {
    const start = this.#find(now, ticket);
    if (start !== undefined) this.#correct(start, 0);
  }

  counts(need: Need): number {
    return this.#measure.of(need);
  }

  available(now: Instant): number {
    this.#forget(now);
    return this.limit - this.#used;
  }

  /** The used amounts that return later than `afterMs`, by equal parts of the window, soonest first. Empty: too many to count. */
  returning(now: Instant, slots: number, afterMs: number): number[] {
    this.#forget(now);
    if (this.#starts.length - this.#head > COUNTED_MAX) return [];
    const amounts = Array.from({ length: slots }, () => 0);
    for (let i = this.#head; i < this.#starts.length; i++) {
      const { at, amount } = this.#starts[i]!;
      const leftMs = at + this.#countedMs - now;
      if (leftMs > afterMs) amounts[Math.min(slots, Math.ceil((leftMs / this.#countedMs) * slots)) - 1]! += amount;
    }
    return amounts;
  }

  isEmpty(now: Instant): boolean {
    this.#forget(now);
    return this.#head === this.#starts.length;
  }

  save(now: Instant, epochMs: number): WindowLevel {
    this.#forget(now);
    return { starts: this.#starts.slice(this.#head).map((s) => ({ epochMs: epochMs - (now - s.at), amount: s.amount })) };
  }

  restore(now: Instant, epochMs: number, saved: WindowLevel): void {
    this.#headTicket += this.#starts.length - this.#head; // invalidates earlier tickets
    this.#starts = saved.starts.map((s) => ({ at: Math.min(now, now - (epochMs - s.epochMs)), amount: s.amount }));
    this.#head = 0;
    this.#used = this.#starts.reduce((sum, s) => sum + s.amount, 0);
  }

  #correct(start: Start, amount: number): void {
    this.#used += amount - start.amount;
    start.amount = amount;
  }

  #find(now: Instant, ticket: number): Start | undefined {
    this.#forget(now);
    return ticket < this.#headTicket ? undefined : this.#starts[this.#head + ticket - this.#headTicket];
  }

  #forget(now: Instant): void {
    const horizon = now - this.#countedMs;
    while (this.#head < this.#starts.length && this.#starts[this.#head]!.at <= horizon) {
      this.#used -= this.#starts[this.#head]!.amount;
      this.#head++;
      this.#headTicket++;
    }
    if (this.#head > 64 && this.#head * 2 > this.#starts.length) {
      this.#starts = this.#starts.slice(this.#head);
      this.#head = 0;
    }
    if (this.#head === this.#starts.length) this.#used = 0;
  }
}
