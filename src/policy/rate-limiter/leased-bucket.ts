import type { Instant } from '../../core/clock.ts';
import { DemandMeter } from '../../core/demand-meter.ts';
import type { Leasable, LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import type { Need, Settlement } from '../../core/resource.ts';
import { settledAmount, TokenBucket } from './token-bucket.ts';
import type { LimitOptions } from './token-bucket.ts';

/** An instance keeps the tokens for this long in addition to its refill, in milliseconds. */
const RESERVE_MS = 1_000;
/** An idle part keeps enough for this many requests. */
const RESERVE_UNITS = 4;
/** More refill is requested than was used, by this factor, so that usage can grow. */
const GROWTH = 1.15;
/** An excess below this factor is not given back. */
const EXCESS_TOLERANCE = 1.02;
/** An instance asks again after this long if nothing else is known, in milliseconds. */
const ASK_AGAIN_MS = 50;
/** A part that has just run short expects something from others for this long, in milliseconds. */
const EXPECT_MS = 1_500;
/** It runs short anew if it was not short for this long, in milliseconds. */
const SHORT_AGAIN_MS = 10_000;
/** An idle part is confirmed this often, in milliseconds, because the ledger drops parts that are not confirmed. */
export const CONFIRM_MS = 60_000;

/** One instance's part of a token bucket. Requests more through `onShort` when it runs short. */
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
  /** Since when it has no connection to the ledger; null: it is connected. */
  #detachedAt: Instant | null = null;
  /** The rate that it held at that time, in units per millisecond. */
  #rateBefore = 0;
  #wasIdle = false;
  #shortSince: Instant = -Infinity;
  #shortAt: Instant = -Infinity;
  #claimedAt: Instant = -Infinity;

  constructor(options: LimitOptions, now: Instant, onShort: () => void) {
    super(options, now);
    this.#meter = new DemandMeter(now);
    this.#options = options;
    this.#measured = options.measure;
    this.#onShort = onShort;
    this.share(now, 0, 0);
  }

  /** The capacity of this part. */
  override get capacity(): number {
    return this.#held.capacity;
  }

  override setLimit(now: Instant, limit: number, burst: number): void {
    super.setLimit(now, limit, burst);
    if (this.#detachedAt === null) this.share(now, this.#held.capacity, this.#held.rate);
    else this.#hold(now, this.wholeCapacity / this.#members, this.#wholeRate / this.#members);
    this.#claimedAt = -Infinity;
  }

  override earliest(now: Instant, need: Need): Instant {
    const at = super.earliest(now, need);
    if (at <= now) return at;
    const amount = this.#measured.of(need);
    if (at === Infinity && amount > this.limit * (1 + 1e-9)) return Infinity;
    const wanted = Math.min(amount, this.wholeCapacity);
    this.#meter.block(now, wanted);
    if (now - this.#shortAt > SHORT_AGAIN_MS) this.#shortSince = now;
    this.#shortAt = now;
    this.#onShort();
    if (this.#detachedAt !== null && wanted > this.#held.capacity) return this.#earliestBeyondShare(now);
    // An instance with the whole refill rate has nothing to expect from others.
    if (this.#held.rate >= this.#wholeRate && wanted <= this.#held.capacity) return at;
    // What others hold and do not need is unknown until they have been asked.
    if (this.#detachedAt === null && now - this.#shortSince < EXPECT_MS) return now + ASK_AGAIN_MS;
    const missing = wanted - this.available(now) - this.#pool(now);
    const guess = now + Math.max(ASK_AGAIN_MS, missing / this.#rateOrShare());
    return wanted <= this.#held.capacity ? Math.min(at, guess) : guess;
  }

  /** Detached, a request above the instance's share starts on a full share and takes it below zero, like one above the burst. */
  #earliestBeyondShare(now: Instant): Instant {
    if (this.isFull(now)) return now;
    return now + Math.max(ASK_AGAIN_MS, (this.#held.capacity - this.available(now)) / this.#held.rate);
  }

  /** The tokens left in the pool, as far as known. Others may take them first; a wrong estimate only costs a wait. */
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

  claim(now: Instant, members: number, isCalled = false): LeaseClaim | null {
    // An idle part changes too when another member needs it, or joins.
    const isNeeded = isCalled || members !== this.#members;
    this.#members = members;
    const isDue = isNeeded || now - this.#claimedAt >= CONFIRM_MS || this.#detachedAt !== null;
    if (!this.#meter.isActive(now) && !isDue && !this.#fair.isContested && this.#wasIdle) return null;
    this.#claimedAt = now;
    const first = Math.min(this.#meter.first(now), this.wholeCapacity);
    const { hasStarted } = this.#meter;
    const rate = this.#meter.read(now);
    this.#wasIdle = rate === 0 && first === 0;
    const isAlone = members <= 1;
    const unit = Math.max(first, this.#meter.unit, Math.min(1, this.limit));
    const isShort = first > 0;
    const wantRate = isAlone || isShort ? this.#wholeRate : Math.min(this.#wholeRate, rate * GROWTH);
    const reserve = isAlone
      ? this.wholeCapacity
      : Math.min(
          this.wholeCapacity,
          Math.max(first, rate * RESERVE_MS + Math.min(RESERVE_UNITS * unit, this.wholeCapacity / (4 * members))),
        );
    const wantCapacity = isAlone ? this.wholeCapacity : Math.min(this.wholeCapacity, 2 * reserve);
    const returned = this.#giveBack(now, isAlone, { reserve, wantCapacity, wantRate });
    const level = this.available(now);
    return {
      ...this.#claimBase(level),
      returned,
      debt: this.#takeDebt(now),
      wantCapacity,
      wantRate,
      wantTokens: Math.max(0, (isShort ? Math.max(2 * reserve, first) : reserve) - level),
      first,
      rank: 1,
      hasStarted,
    };
  }

  granted(now: Instant, grant: LeaseGrant): boolean {
    const { capacity, rate } = this.#held;
    this.shift(now, -this.#debtSinceClaim(now));
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
      ...this.#claimBase(0),
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

  /** The capacity of the whole bucket. */
  get wholeCapacity(): number {
    return super.capacity;
  }

  get #wholeRate(): number {
    return this.limit / this.windowMs;
  }

  #rateOrShare(): number {
    return Math.max(this.#held.rate, this.#wholeRate / Math.max(1, this.#members));
  }

  #claimBase(
    level: number,
  ): Pick<LeaseClaim, 'id' | 'capacity' | 'rate' | 'countedMs' | 'epoch' | 'poolLevel' | 'heldCapacity' | 'heldRate' | 'level'> {
    const { capacity, rate } = this.#held;
    const known = { countedMs: 0, epoch: this.#epoch, poolLevel: this.#poolLevel };
    return { id: this.id, capacity: this.wholeCapacity, rate: this.#wholeRate, ...known, heldCapacity: capacity, heldRate: rate, level };
  }

  /** Gives up what it does not need and, where others wait, the excess over its fair share. Returns the number of tokens. */
  #giveBack(now: Instant, isAlone: boolean, want: { reserve: number; wantCapacity: number; wantRate: number }): number {
    // A detached instance keeps its share until it is connected again.
    if (isAlone || this.#detachedAt !== null) return 0;
    let { capacity, rate } = this.#held;
    if (rate > want.wantRate * EXCESS_TOLERANCE) rate = want.wantRate;
    if (capacity > want.wantCapacity * EXCESS_TOLERANCE) capacity = want.wantCapacity;
    if (this.#fair.isContested && rate > this.#fair.rate * EXCESS_TOLERANCE) rate = this.#fair.rate;
    if (this.#fair.isContested && capacity > this.#fair.capacity * EXCESS_TOLERANCE) capacity = this.#fair.capacity;
    const level = this.available(now);
    // Where the limit is undivided, refill stays in the pool, and capacity is held only for tokens.
    if (this.#fair.rate === 0) capacity = Math.min(capacity, Math.max(0, level));
    const returned = Math.max(0, level - Math.min(capacity, Math.max(want.reserve * 1.5, want.reserve + 1)));
    if (returned > 0) this.shift(now, -returned);
    this.#hold(now, Math.min(this.#held.capacity, Math.max(capacity, this.shareMin(now))), rate);
    return returned;
  }

  #takeDebt(now: Instant): number {
    if (this.#detachedAt === null) return 0;
    // It used a share of a full bucket without a grant; what remains of it is still held.
    if (this.#epoch === 0) return this.wholeCapacity / Math.max(1, this.#members);
    return (this.#held.rate - this.#rateBefore) * (now - this.#detachedAt);
  }

  /** What it spent while detached since the claim that is being answered. */
  #debtSinceClaim(now: Instant): number {
    if (this.#detachedAt === null) return 0;
    if (this.#epoch === 0 && this.#claimedAt < this.#detachedAt) return this.wholeCapacity / Math.max(1, this.#members);
    return Math.max(0, this.#held.rate - this.#rateBefore) * (now - Math.max(this.#detachedAt, this.#claimedAt));
  }

  #hold(now: Instant, capacity: number, rate: number): void {
    this.#held = { capacity, rate };
    this.share(now, capacity, rate);
  }
}
