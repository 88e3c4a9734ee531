import type { Instant } from '../../core/clock.ts';
import { DemandMeter } from '../../core/demand-meter.ts';
import type { Leasable, LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import type { Need, Settlement } from '../../core/resource.ts';
import { settledAmount, TokenBucket } from './token-bucket.ts';
import type { LimitOptions } from './token-bucket.ts';

/** Tokens for so long are kept beside what the refill brings, in milliseconds. */
const KEPT_MS = 1_000;
/** A part that is not asked for keeps what so many requests need. */
const KEPT_UNITS = 4;
/** A little more refill is wanted than was used, so that use can grow. */
const HEADROOM = 1.15;
/** Less than this share of a part is no reason to give it back. */
const SLACK = 1.02;
/** An instance asks again in so long if nothing else is known, in milliseconds. */
const ASK_AGAIN_MS = 50;
/** A part that nothing happens to is confirmed so often, in milliseconds: the ledger forgets what it does not hear of. */
export const CONFIRM_MS = 60_000;

/** One instance's part of a token bucket. Asks for more when it is short, through `onShort`. */
export class LeasedBucket extends TokenBucket implements Leasable {
  readonly #meter: DemandMeter;
  readonly #options: LimitOptions;
  readonly #onShort: () => void;
  readonly #measured: { of(need: Need): number };
  #held = { capacity: 0, rate: 0 };
  #fair = { capacity: Infinity, rate: Infinity, isContested: false };
  #epoch = 0;
  #poolLevel = 0;
  #grantedAt: Instant = 0;
  #members = 1;
  /** Since when it is on its own; null: it is not. */
  #detachedAt: Instant | null = null;
  /** What it held then, in units per millisecond. */
  #rateBefore = 0;
  #isIdle = false;
  #saidAt: Instant = -Infinity;

  constructor(options: LimitOptions, now: Instant, onShort: () => void) {
    super(options, now);
    this.#meter = new DemandMeter(now);
    this.#options = options;
    this.#measured = options.measure;
    this.#onShort = onShort;
    this.share(now, 0, 0);
  }

  /** Of its part. */
  override get capacity(): number {
    return this.#held.capacity;
  }

  override setLimit(now: Instant, limit: number, burst: number): void {
    super.setLimit(now, limit, burst);
    if (this.#detachedAt === null) this.share(now, this.#held.capacity, this.#held.rate);
    else this.#hold(now, this.wholeCapacity / this.#members, this.#wholeRate / this.#members);
    this.#saidAt = -Infinity;
  }

  override earliest(now: Instant, need: Need): Instant {
    const at = super.earliest(now, need);
    if (at <= now) return at;
    const amount = this.#measured.of(need);
    if (at === Infinity && amount > this.limit * (1 + 1e-9)) return Infinity;
    const wanted = Math.min(amount, this.wholeCapacity);
    this.#meter.block(now, wanted);
    this.#onShort();
    if (this.#detachedAt !== null && wanted > this.#held.capacity) return this.#earliestBeyondShare(now);
    // With all refill there is nothing that others could give.
    if (this.#held.rate >= this.#wholeRate && wanted <= this.#held.capacity) return at;
    const missing = wanted - this.available(now) - this.#pool(now);
    const guess = now + Math.max(ASK_AGAIN_MS, missing / this.#rateOrShare());
    return wanted <= this.#held.capacity ? Math.min(at, guess) : guess;
  }

  /** On its own: what its share can't hold starts on a full share and takes it below zero, as one above the burst does. */
  #earliestBeyondShare(now: Instant): Instant {
    if (this.isFull(now)) return now;
    return now + Math.max(ASK_AGAIN_MS, (this.#held.capacity - this.available(now)) / this.#held.rate);
  }

  /** What the others have left over, as far as is known; what is there for all is not there for each, but a wrong guess only waits. */
  #pool(now: Instant): number {
    if (this.#detachedAt !== null) return 0;
    if (this.#fair.isContested) return Math.max(0, this.#poolLevel);
    const filled = this.#poolLevel + (this.#wholeRate - this.#held.rate) * (now - this.#grantedAt);
    return Math.max(0, Math.min(this.wholeCapacity - this.#held.capacity, filled));
  }

  override earliestAfter(now: Instant, ahead: Need, need: Need): Instant {
    const at = super.earliestAfter(now, ahead, need);
    if (at <= now) return at;
    const missing =
      Math.max(0, this.#measured.of(ahead)) + Math.min(this.#measured.of(need), this.wholeCapacity) - this.available(now) - this.#pool(now);
    if (this.#measured.of(need) > this.limit * (1 + 1e-9)) return Infinity;
    return now + Math.max(0, missing) / this.#rateOrShare();
  }

  override reserve(now: Instant, need: Need): number {
    this.#meter.take(Math.max(0, this.#measured.of(need)));
    return super.reserve(now, need);
  }

  override settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void {
    super.settle(now, ticket, need, settlement);
    const used = settlement.unsent === true ? null : settledAmount(this.#options.measure, this.limit, settlement.usage, need);
    if (used !== null && used > this.#measured.of(need)) this.#meter.take(used - this.#measured.of(need));
  }

  claim(now: Instant, members: number): LeaseClaim | null {
    this.#members = members;
    const isDue = now - this.#saidAt >= CONFIRM_MS || this.#detachedAt !== null;
    if (!this.#meter.isActive(now) && !isDue && !this.#fair.isContested && this.#isIdle) return null;
    this.#saidAt = now;
    const first = Math.min(this.#meter.first(now), this.wholeCapacity);
    const { hasStarted } = this.#meter;
    const rate = this.#meter.read(now);
    this.#isIdle = rate === 0 && first === 0;
    const isAlone = members <= 1;
    const unit = Math.max(first, this.#meter.unit, Math.min(1, this.limit));
    const isShort = first > 0;
    const wantRate = isAlone || isShort ? this.#wholeRate : Math.min(this.#wholeRate, rate * HEADROOM);
    const kept = isAlone
      ? this.wholeCapacity
      : Math.min(this.wholeCapacity, Math.max(first, rate * KEPT_MS + Math.min(KEPT_UNITS * unit, this.wholeCapacity / (4 * members))));
    const wantCapacity = isAlone ? this.wholeCapacity : Math.min(this.wholeCapacity, 2 * kept);
    const returned = this.#giveBack(now, isAlone, { kept, wantCapacity, wantRate });
    const level = this.available(now);
    return {
      ...this.#said(level),
      returned,
      debt: this.#takeDebt(now),
      wantCapacity,
      wantRate,
      wantTokens: Math.max(0, (isShort ? Math.max(2 * kept, first) : kept) - level),
      first,
      rank: 1,
      hasStarted,
    };
  }

  granted(now: Instant, grant: LeaseGrant): boolean {
    const { capacity, rate } = this.#held;
    this.shift(now, -this.#unsaidDebt(now));
    this.#detachedAt = null;
    this.#grantedAt = now;
    this.#epoch = grant.epoch;
    this.#poolLevel = grant.poolLevel;
    this.#fair = { capacity: grant.fairCapacity, rate: grant.fairRate, isContested: grant.isContested };
    this.#hold(now, grant.capacity, grant.rate);
    this.shift(now, grant.tokens);
    return grant.tokens > 0 || grant.capacity > capacity || grant.rate > rate;
  }

  detach(now: Instant, members: number): void {
    if (this.#detachedAt !== null) return;
    const isNew = this.#epoch === 0;
    this.#detachedAt = now;
    this.#rateBefore = this.#held.rate;
    this.#members = members;
    this.#hold(now, this.wholeCapacity / members, this.#wholeRate / members);
    if (isNew) this.shift(now, this.#held.capacity);
  }

  leave(now: Instant): LeaseClaim {
    const available = this.available(now);
    const level = Math.max(0, available);
    this.#detachedAt = null;
    this.shift(now, -level);
    this.#hold(now, 0, 0);
    return {
      ...this.#said(0),
      returned: level,
      debt: Math.max(0, -available),
      wantCapacity: 0,
      wantRate: 0,
      wantTokens: 0,
      first: 0,
      rank: 1,
      hasStarted: false,
    };
  }

  /** Of the whole limit. */
  get wholeCapacity(): number {
    return super.capacity;
  }

  get #wholeRate(): number {
    return this.limit / this.windowMs;
  }

  #rateOrShare(): number {
    return Math.max(this.#held.rate, this.#wholeRate / Math.max(1, this.#members));
  }

  #said(
    level: number,
  ): Pick<LeaseClaim, 'id' | 'capacity' | 'rate' | 'countedMs' | 'epoch' | 'poolLevel' | 'heldCapacity' | 'heldRate' | 'level'> {
    const { capacity, rate } = this.#held;
    const known = { countedMs: 0, epoch: this.#epoch, poolLevel: this.#poolLevel };
    return { id: this.id, capacity: this.wholeCapacity, rate: this.#wholeRate, ...known, heldCapacity: capacity, heldRate: rate, level };
  }

  /** Lets go of what it does not want, and, where others wait, of what is more than its fair part. Returns how many tokens that are. */
  #giveBack(now: Instant, isAlone: boolean, want: { kept: number; wantCapacity: number; wantRate: number }): number {
    // On its own it keeps its share until it is heard of again.
    if (isAlone || this.#detachedAt !== null) return 0;
    let { capacity, rate } = this.#held;
    if (rate > want.wantRate * SLACK) rate = want.wantRate;
    if (capacity > want.wantCapacity * SLACK) capacity = want.wantCapacity;
    if (this.#fair.isContested && rate > this.#fair.rate * SLACK) rate = this.#fair.rate;
    if (this.#fair.isContested && capacity > this.#fair.capacity * SLACK) capacity = this.#fair.capacity;
    const level = this.available(now);
    // Undivided: refill stays in the pool, and room is held with tokens only.
    if (this.#fair.rate === 0) capacity = Math.min(capacity, Math.max(0, level));
    const returned = Math.max(0, level - Math.min(capacity, Math.max(want.kept * 1.5, want.kept + 1)));
    if (returned > 0) this.shift(now, -returned);
    this.#hold(now, Math.min(this.#held.capacity, Math.max(capacity, this.shareMin(now))), rate);
    return returned;
  }

  #takeDebt(now: Instant): number {
    if (this.#detachedAt === null) return 0;
    // It took a share of a full bucket without asking: what is left of it, it still holds.
    if (this.#epoch === 0) return this.wholeCapacity / Math.max(1, this.#members);
    return (this.#held.rate - this.#rateBefore) * (now - this.#detachedAt);
  }

  /** What it spent on its own account since the claim that is answered now. */
  #unsaidDebt(now: Instant): number {
    if (this.#detachedAt === null) return 0;
    if (this.#epoch === 0 && this.#saidAt < this.#detachedAt) return this.wholeCapacity / Math.max(1, this.#members);
    return Math.max(0, this.#held.rate - this.#rateBefore) * (now - Math.max(this.#detachedAt, this.#saidAt));
  }

  #hold(now: Instant, capacity: number, rate: number): void {
    this.#held = { capacity, rate };
    this.share(now, capacity, rate);
  }
}
