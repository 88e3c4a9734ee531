import type { Instant } from '../../core/clock.ts';
import { DemandMeter } from '../../core/demand-meter.ts';
import {
  confirmAfterMs,
  excessOf,
  HeldByOthers,
  NEXT_AT_SHARE,
  POOL_KNOWN_MS,
  RECOVERY_MS,
  Shortage,
  sliceOf,
} from '../../core/lease-slice.ts';
import type { Recovery } from '../../core/lease-slice.ts';
import { isSliced } from '../../core/lease.ts';
import type { Leasable, LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import type { Need, Settlement } from '../../core/resource.ts';
import { BucketDebt } from './bucket-debt.ts';
import { BucketLoan } from './bucket-loan.ts';
import { bucketWish } from './bucket-wish.ts';
import { settledAmount, TokenBucket } from './token-bucket.ts';
import type { LimitOptions } from './token-bucket.ts';

/** An excess below this factor is not given back. */
const EXCESS_TOLERANCE = 1.02;
/** An instance asks again after this long if nothing else is known, in milliseconds. */
const ASK_AGAIN_MS = 50;
/** An idle part is confirmed this often, in milliseconds, because the ledger drops parts that are not confirmed. */
export const CONFIRM_MS = 60_000;

/**
 * One instance's part of a token bucket. Requests more through `onShort` when it runs short.
 *
 * A bucket that refills slowly is leased in slices: tokens alone, while all refill and what is not about to be used stay in the pool.
 */
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
  #debt: BucketDebt | null = null;
  #wasIdle = false;
  readonly #shortage = new Shortage();
  #claimedAt: Instant = -Infinity;
  /** Of a sliced bucket: the size of the slice, and whether the next one was requested. */
  #slice = 0;
  #confirmMs = 0;
  readonly #others = new HeldByOthers();
  /** The need of the first waiting request in its last claim. */
  #claimedFirst = 0;
  #hasAsked = false;
  #loan: BucketLoan | null = null;
  #recovery: Recovery | null = null;
  /** Reserved by running requests, which may be refunded: the pool leaves room for it. */
  #outstanding = 0;
  isSupplied = false;

  constructor(options: LimitOptions, now: Instant, onShort: () => void) {
    super(options, now);
    this.#meter = new DemandMeter(now);
    this.#options = options;
    this.#measured = options.measure;
    this.#onShort = onShort;
    this.share(now, 0, 0);
  }

  /** The capacity of this part. More than a slice can be fetched. */
  override get capacity(): number {
    return this.isPooled ? this.wholeCapacity : this.#held.capacity;
  }

  /** It is leased in slices. */
  get isPooled(): boolean {
    return isSliced({ capacity: this.wholeCapacity, rate: this.#wholeRate, countedMs: 0 });
  }

  /** What this instance may use at once, and what of that is left. */
  reach(now: Instant): { readonly share: number; readonly available: number } {
    const pool = this.isPooled ? this.#pool(now) : 0;
    return { share: this.#held.capacity + pool, available: this.available(now) + pool };
  }

  override setLimit(now: Instant, limit: number, burst: number): void {
    super.setLimit(now, limit, burst);
    if (this.#detachedAt === null) this.#hold(now, this.#held.capacity, this.#held.rate);
    else this.#resizeShare(now);
    this.#claimedAt = -Infinity;
  }

  /** The limit has changed while detached. Another burst may start or end the use of slices. */
  #resizeShare(now: Instant): void {
    if (!this.isPooled) this.#endLoan(now);
    const owed = this.#debt?.of(now) ?? 0;
    this.#hold(now, this.wholeCapacity / this.#members, this.#wholeRate / this.#members);
    if (this.isPooled && this.#debt !== null) {
      this.#debt = null;
      this.shift(now, -Math.max(0, owed));
      this.#takeLoan(now, this.#epoch === 0);
    }
    this.#loan?.setRate(now, this.#held.rate);
    if (this.#loan === null) (this.#debt ??= new BucketDebt(now, 0, 0)).setRate(now, this.#debtRate);
  }

  override earliest(now: Instant, need: Need): Instant {
    const at = super.earliest(now, need);
    if (at <= now) return at;
    const amount = this.#measured.of(need);
    if (at === Infinity && amount > this.limit * (1 + 1e-9)) return Infinity;
    const wanted = Math.min(amount, this.wholeCapacity);
    this.#meter.block(now, wanted);
    this.#shortage.note(now);
    this.#onShort();
    if (this.#detachedAt !== null && wanted > this.#held.capacity) return this.#earliestBeyondShare(now);
    // An instance with the whole refill rate has nothing to expect from others.
    if (this.#held.rate >= this.#wholeRate && wanted <= this.#held.capacity) return at;
    if (this.#heldByOthers(now) > 0) return now + ASK_AGAIN_MS;
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
    const amount = Math.max(0, this.#measured.of(ahead)) + Math.min(this.#measured.of(need), this.wholeCapacity);
    const missing = amount - this.available(now) - this.#pool(now) - this.#heldByOthers(now);
    if (this.#measured.of(need) > this.limit * (1 + 1e-9)) return Infinity;
    return now + Math.max(0, missing) / this.#rateOrShare();
  }

  /** What they may return of it. */
  #heldByOthers(now: Instant): number {
    if (this.#detachedAt !== null) return 0;
    if (this.#epoch === 0) return this.wholeCapacity;
    if (this.isPooled) return this.#others.most(now, { whole: this.wholeCapacity, members: this.#members });
    return this.#shortage.isNew(now) ? Math.max(0, this.wholeCapacity - this.#held.capacity - this.#pool(now)) : 0;
  }

  override reserve(now: Instant, need: Need): number {
    const amount = Math.max(0, this.#measured.of(need));
    this.#outstanding += amount;
    this.#take(amount);
    const ticket = super.reserve(now, need);
    this.#requestNext(now);
    return ticket;
  }

  override settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void {
    super.settle(now, ticket, need, settlement);
    if (settlement.unsent === true) return;
    this.#release(need);
    const used = settledAmount(this.#options.measure, this.limit, settlement.usage, need);
    if (used !== null && used > this.#measured.of(need)) this.#take(used - this.#measured.of(need));
  }

  override cancel(now: Instant, ticket: number, need: Need): void {
    super.cancel(now, ticket, need);
    this.#release(need);
  }

  #take(amount: number): void {
    this.#meter.take(amount);
    this.#loan?.take(amount);
  }

  #release(need: Need): void {
    this.#outstanding = Math.max(0, this.#outstanding - Math.max(0, this.#measured.of(need)));
  }

  /** Before the slice is used up. */
  #requestNext(now: Instant): void {
    if (!this.isPooled || this.#detachedAt !== null || this.#hasAsked || this.#poolLevel <= 0) return;
    if (this.available(now) >= this.#slice * NEXT_AT_SHARE) return;
    this.#hasAsked = true;
    this.#onShort();
  }

  claim(now: Instant, members: number, isCalled = false): LeaseClaim | null {
    // An idle part changes too when another member needs it, or joins.
    const isNeeded = isCalled || members !== this.#members;
    this.#members = members;
    const isDue = isNeeded || now - this.#claimedAt >= (this.isPooled ? this.#confirmMs : CONFIRM_MS) || this.#detachedAt !== null;
    if (!this.#meter.isActive(now) && !isDue && !this.#fair.isContested && this.#wasIdle) return null;
    this.#claimedAt = now;
    const first = Math.min(this.#meter.first(now), this.wholeCapacity);
    const { hasStarted } = this.#meter;
    const rate = this.#meter.read(now);
    this.#wasIdle = rate === 0 && first === 0;
    if (this.isPooled) return this.#claimSlice(now, { first, rate, hasStarted, isCalled });
    const isAlone = members === 1;
    const unit = Math.max(first, this.#meter.unit, Math.min(1, this.limit));
    const isShort = first > 0;
    this.#claimedFirst = first;
    const whole = { capacity: this.wholeCapacity, rate: this.#wholeRate };
    const { reserve, wantCapacity, wantRate } = bucketWish({ whole, members, unit, ratePerMs: rate, first });
    const returned = this.#giveBack(now, isAlone, { reserve, wantCapacity, wantRate });
    const level = this.available(now);
    const uncounted = this.uncounted(now);
    return {
      ...this.#claimBase(level),
      uncounted,
      returned,
      debt: this.#debt?.report(now) ?? 0,
      wantCapacity: Math.min(this.wholeCapacity, wantCapacity + uncounted),
      wantRate,
      wantTokens: Math.max(0, (isShort ? Math.max(2 * reserve, first) : reserve) - level),
      first,
      hasStarted,
    };
  }

  /** Tokens alone; what it used of a loan is a level below zero, which is filled up first. */
  #claimSlice(now: Instant, demand: { first: number; rate: number; hasStarted: boolean; isCalled: boolean }): LeaseClaim {
    const { first, rate, hasStarted } = demand;
    const unit = Math.max(this.#meter.unit, Math.min(1, this.limit));
    const isScarce = demand.isCalled || this.#fair.isContested;
    let level = this.#levelWithoutLoan(now);
    const left = this.#epoch === 0 ? this.wholeCapacity : Math.max(0, this.#poolLevel) + Math.max(0, level);
    const known = { whole: this.wholeCapacity, left, members: this.#members, before: this.#slice };
    this.#slice = sliceOf({ ...known, unit, ratePerMs: rate, first, isScarce });
    const returned = this.#detachedAt === null ? excessOf(level, this.#slice, { ...known, unit, isScarce }) : 0;
    this.shift(now, -returned);
    level -= returned;
    const heldCapacity = Math.max(0, level) + this.#outstanding;
    if (this.#detachedAt === null) this.#hold(now, heldCapacity, 0);
    if (this.#recovery !== null && now >= this.#recovery.until) this.#recovery = null;
    // While the replies to claims may be lost, it asks for nothing: what is granted then would be lost as well.
    const wanted = this.#detachedAt === null ? Math.max(0, this.#slice - level) : 0;
    this.#claimedFirst = this.#detachedAt === null ? first : 0;
    return {
      ...this.#claimBase(level),
      heldCapacity,
      heldRate: 0,
      returned,
      wantCapacity: heldCapacity,
      wantTokens: Math.min(wanted, this.#recovery?.left ?? Infinity),
      first: this.#claimedFirst,
      hasStarted,
    };
  }

  granted(now: Instant, grant: LeaseGrant): boolean {
    const { capacity, rate } = this.#held;
    const isBack = this.#detachedAt !== null;
    this.#endLoan(now);
    this.#endDebt(now);
    this.#detachedAt = null;
    this.#grantedAt = now;
    this.#epoch = grant.epoch;
    this.#confirmMs = confirmAfterMs(this.wholeCapacity, this.#poolLevel, grant.poolLevel);
    this.#poolLevel = grant.poolLevel;
    this.#fair = { capacity: grant.fairCapacity, rate: grant.fairRate, isContested: grant.isContested };
    this.#hold(now, grant.capacity, grant.rate);
    this.shift(now, grant.tokens);
    this.isSupplied = grant.tokens > 0 && this.available(now) >= this.#claimedFirst;
    if (!this.isPooled) return grant.tokens > 0 || grant.capacity > capacity || grant.rate > rate;
    // Where it counted as dead meanwhile, its tokens may be in the pool again.
    this.shift(now, -Math.max(0, this.available(now) - grant.capacity));
    if (this.#recovery !== null) this.#recovery.left = Math.max(0, this.#recovery.left - grant.tokens);
    this.#others.granted(now, grant.tokens > 0, this.#claimedFirst > 0);
    this.isSupplied = grant.tokens > 0 || isBack;
    this.#hasAsked = false;
    return this.isSupplied;
  }

  detach(now: Instant, members: number): void {
    if (this.#detachedAt !== null) return;
    const isNew = this.#epoch === 0;
    this.#detachedAt = now;
    this.#rateBefore = this.#held.rate;
    this.#members = members;
    this.#hold(now, this.wholeCapacity / members, this.#wholeRate / members);
    if (this.isPooled) return this.#takeLoan(now, isNew);
    const lent = isNew ? this.#held.capacity : 0;
    this.shift(now, lent);
    this.#debt = new BucketDebt(now, lent, this.#debtRate);
  }

  /** One that starts without the store uses a share of a full bucket, and what remains of that is still held. */
  get #debtRate(): number {
    return this.#epoch === 0 ? 0 : this.#held.rate - this.#rateBefore;
  }

  /** Its even part of the pool. An instance that was frozen does not know what is left there. */
  #takeLoan(now: Instant, isNew: boolean): void {
    const level = this.available(now);
    const isKnown = now - this.#grantedAt <= POOL_KNOWN_MS;
    const pool = isNew ? this.wholeCapacity : isKnown ? Math.max(0, this.#poolLevel) : 0;
    const amount = Math.max(0, Math.min(pool / this.#members, this.#held.capacity - level));
    this.shift(now, amount);
    this.#loan = new BucketLoan(now, level, amount, this.#held.rate);
  }

  #levelWithoutLoan(now: Instant): number {
    const level = this.available(now);
    return this.#loan === null ? level : this.#loan.levelWithout(now, level);
  }

  #endLoan(now: Instant): void {
    if (this.#loan === null) return;
    const rest = this.available(now) - this.#levelWithoutLoan(now);
    this.shift(now, -rest);
    // Until the others have reported what they used, it draws no more than it could have used without the store.
    if (this.#members > 1 && this.#loan.amount > 0) this.#recovery = { until: now + RECOVERY_MS, left: rest };
    this.#loan = null;
  }

  leave(now: Instant): LeaseClaim {
    this.#endLoan(now);
    this.#debt = null;
    const available = this.available(now);
    const level = Math.max(0, available);
    this.#detachedAt = null;
    this.#poolLevel = 0;
    this.shift(now, -level);
    this.#hold(now, 0, 0);
    return {
      ...this.#claimBase(0),
      returned: level,
      debt: Math.max(0, -available),
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

  /** A claim that asks for nothing. */
  #claimBase(level: number): LeaseClaim {
    const { capacity, rate } = this.#held;
    const known = { countedMs: 0, usage: [], uncounted: 0, epoch: this.#epoch, poolLevel: this.#poolLevel };
    const limit = { id: this.id, capacity: this.wholeCapacity, rate: this.#wholeRate };
    const wanted = { wantCapacity: 0, wantRate: 0, wantTokens: 0, first: 0, rank: 1, hasStarted: false };
    return { ...limit, ...known, heldCapacity: capacity, heldRate: rate, level, returned: 0, debt: 0, ...wanted };
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
    // Without their capacity, the pool might have no room for the tokens.
    capacity = Math.min(capacity, this.#held.capacity - returned);
    this.#hold(now, Math.min(this.#held.capacity, Math.max(capacity, this.shareMin(now))), rate);
    return returned;
  }

  #endDebt(now: Instant): void {
    if (this.#debt !== null) this.shift(now, -Math.max(0, this.#debt.unreported(now)));
    this.#debt = null;
  }

  #hold(now: Instant, capacity: number, rate: number): void {
    this.#held = { capacity, rate };
    // A slice has the room of the whole bucket, so that refunds fit.
    if (this.isPooled && this.#detachedAt === null) this.share(now, this.wholeCapacity, 0);
    else this.share(now, capacity, rate);
  }
}
