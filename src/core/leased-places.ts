/**
 * A lease of a limit without refill: a number of slots, or of units in a window. Amounts in use cannot be returned. The lease of a long
 * window is the amount in use and a slice: if the instance dies, what it held is blocked for the length of the window.
 */
import type { Instant } from './clock.ts';
import type { DemandMeter } from './demand-meter.ts';
import { confirmAfterMs, excessOf, grownSlice, HeldByOthers, POOL_KNOWN_MS, RECOVERY_MS, Shortage, sliceOf } from './lease-slice.ts';
import { isSliced } from './lease.ts';
import type { LeaseClaim, LeaseGrant } from './lease.ts';

/** The units that an unused lease keeps. */
const KEPT_UNITS = 2;
/** An instance alone keeps this share of a window unused. */
const ALONE_SHARE = 1 / 20;
/** A lease shrinks only if it exceeds its target by this factor. */
const SLACK = 1.02;
/** The interval at which an idle lease is confirmed, in milliseconds, as the ledger drops leases without claims. */
const CONFIRM_MS = 60_000;

export class LeasedPlaces {
  readonly #id: string;
  whole: number;
  members = 1;
  /** The usable amount. Usage beyond it still counts as held. */
  held = 0;
  #fair = { capacity: Infinity, isContested: false };
  #epoch = 0;
  /** The store is not available, and an equal share applies. */
  isDetached = false;
  #isIdle = false;
  #claimedAt: Instant = -Infinity;
  #claimedMembers = 0;
  /** The amount held according to the ledger. */
  #claimed = 0;

  readonly #countedMs: number;
  /** What no member holds, and when that was known. */
  #pool = 0;
  #knownAt: Instant = -Infinity;
  #confirmMs = 0;
  #slice = 0;
  /** Of a short window: what was requested beyond its usage while a request waits. */
  #grown = 0;
  readonly #others = new HeldByOthers();
  readonly shortage = new Shortage();
  #isWaiting = false;
  /** The amount held before the store was lost, and what it may hold until the others have reported what they used since. */
  #heldBefore = 0;
  #recovery = { until: -Infinity, most: Infinity };

  /** `countedMs`: how long usage counts, even after the request has ended; 0: until it ends. */
  constructor(id: string, whole: number, countedMs: number) {
    this.#id = id;
    this.#countedMs = countedMs;
    this.whole = whole;
  }

  setWhole(whole: number): void {
    this.whole = whole;
    if (this.isDetached) this.held = this.isSliced ? Math.min(whole, this.held) : this.#evenShare();
    this.#claimedAt = -Infinity;
  }

  /** It is leased in slices. */
  get isSliced(): boolean {
    return isSliced({ capacity: this.whole, rate: 0, countedMs: this.#countedMs });
  }

  /** What no member holds, as far as known. */
  get pool(): number {
    return this.isDetached ? 0 : this.#pool;
  }

  /** No other member holds any of it. */
  get isRestFree(): boolean {
    const pool = this.#epoch === 0 ? 0 : this.pool;
    return !this.isDetached && Math.max(this.held, this.#claimed) + pool >= this.whole - 1e-6;
  }

  /** What others may return of it. */
  heldByOthers(now: Instant): number {
    if (this.isDetached) return 0;
    if (this.#epoch === 0) return this.whole;
    if (this.isSliced) return this.#others.most(now, this);
    return this.shortage.isNew(now) ? Math.max(0, this.whole - Math.max(this.held, this.#claimed) - this.#pool) : 0;
  }

  /** The size of the present slice. */
  get slice(): number {
    return this.#slice;
  }

  /** `aheadMs`: the duration of expected usage to claim in addition to current usage. `isCalled`: another member is short of it. */
  claim(now: Instant, members: number, meter: DemandMeter, used: number, aheadMs: number, isCalled: boolean): LeaseClaim | null {
    // An idle lease changes too when another member needs it, or joins.
    const isNeeded = isCalled || members !== this.#claimedMembers;
    this.#claimedMembers = members;
    this.members = Math.max(1, members);
    const hasReturned = this.#claimed > Math.max(this.held, used) + 1e-9;
    const isDue = isNeeded || now - this.#claimedAt >= (this.isSliced ? this.#confirmMs : CONFIRM_MS) || this.isDetached;
    if (!meter.isActive(now) && !isDue && !this.#fair.isContested && !hasReturned && this.#isIdle) return null;
    this.#claimedAt = now;
    const first = meter.first(now);
    this.#isWaiting = first > 0;
    const { hasStarted } = meter;
    const rate = meter.read(now);
    this.#isIdle = rate === 0 && first === 0 && used === 0;
    if (this.isSliced) return this.#claimSlice(now, used, { first, rate, unit: meter.unit, hasStarted, isCalled });
    // One that joins does not know the others yet.
    const isAlone = members === 1;
    const kept = this.#kept(isAlone, meter);
    this.#grown = first > 0 ? grownSlice(Math.max(this.#grown, kept), first) : 0;
    // While other members wait, free places are left for them.
    const ahead = this.#fair.isContested ? 0 : rate * aheadMs;
    const wanted = used + Math.max(this.#grown, ahead + kept);
    const wantsAll = this.#countedMs === 0 && (isAlone || first > 0);
    const wantCapacity = wantsAll ? this.whole : Math.min(this.whole, wanted);
    if (!this.isDetached) this.#shrink(wantCapacity);
    // Current usage is not part of the need of the first waiting request.
    return this.#toClaim(Math.max(this.held, used), wantCapacity, first > 0 ? Math.min(this.whole, used + first) : 0, hasStarted);
  }

  /** What is held beyond the demand. Of a window little, as it is lost with an instance that is killed until the window has passed. */
  #kept(isAlone: boolean, { unit }: DemandMeter): number {
    const units = Math.min(KEPT_UNITS * Math.max(unit, Math.min(1, this.whole)), this.whole / (4 * this.members));
    const kept = units < 1 ? 0 : units;
    return isAlone ? Math.max(kept, this.whole * ALONE_SHARE) : kept;
  }

  #shrink(wantCapacity: number): void {
    if (this.held > wantCapacity * SLACK) this.held = wantCapacity;
    if (this.#fair.isContested && this.held > this.#fair.capacity * SLACK) this.held = this.#fair.capacity;
  }

  #claimSlice(now: Instant, used: number, demand: SliceClaim): LeaseClaim {
    const { first, rate, hasStarted } = demand;
    const unit = Math.max(demand.unit, Math.min(1, this.whole));
    const isScarce = demand.isCalled || this.#fair.isContested;
    const linked = this.isDetached ? this.#heldBefore : this.held;
    const left = this.#epoch === 0 ? this.whole : this.#pool + Math.max(0, linked - used);
    this.#slice = sliceOf({ whole: this.whole, left, members: this.members, before: this.#slice, unit, ratePerMs: rate, first, isScarce });
    if (!this.isDetached) this.held -= excessOf(this.held - used, this.#slice, { whole: this.whole, unit, isScarce });
    const most = now < this.#recovery.until ? this.#recovery.most : this.whole;
    const held = this.isDetached ? this.#heldBefore : this.held;
    const wanted = Math.min(most, used + this.#slice);
    return this.#toClaim(Math.max(held, used), wanted, first > 0 ? Math.min(this.whole, used + first) : 0, hasStarted);
  }

  granted(now: Instant, grant: LeaseGrant): boolean {
    const before = this.held;
    if (this.isSliced && this.isDetached && this.members > 1) this.#recovery = { until: now + RECOVERY_MS, most: this.held };
    this.isDetached = false;
    this.#confirmMs = confirmAfterMs(this.whole, this.#pool, grant.poolLevel);
    this.#pool = grant.poolLevel;
    this.#knownAt = now;
    this.#epoch = grant.epoch;
    this.#fair = { capacity: grant.fairCapacity, isContested: grant.isContested };
    // With usage beyond the lease, only a larger grant adds capacity.
    if (grant.capacity > this.#claimed || grant.capacity < this.held) this.held = grant.capacity;
    this.#claimed = grant.capacity;
    this.#others.granted(now, this.held > before, this.#isWaiting);
    return this.held > before;
  }

  detach(now: Instant, members: number): void {
    if (this.isDetached) return;
    this.isDetached = true;
    this.members = Math.max(1, members);
    this.#heldBefore = this.held;
    this.held = this.isSliced && this.#epoch !== 0 ? this.held + this.#evenPool(now) : this.#evenShare();
  }

  /** At least one, so that a detached instance can still start requests. */
  #evenShare(): number {
    return Math.min(this.whole, Math.max(Math.min(1, this.whole), this.whole / this.members));
  }

  /** An instance that was frozen does not know what is left. */
  #evenPool(now: Instant): number {
    if (now - this.#knownAt > POOL_KNOWN_MS) return 0;
    return Math.max(Math.min(1, this.#pool), this.#pool / this.members);
  }

  leave(used: number): LeaseClaim {
    this.isDetached = false;
    this.held = 0;
    this.#pool = 0;
    return this.#toClaim(used, 0, 0, false);
  }

  #toClaim(held: number, wantCapacity: number, first: number, hasStarted: boolean): LeaseClaim {
    this.#claimed = held;
    const none = {
      countedMs: this.#countedMs,
      rate: 0,
      poolLevel: 0,
      heldRate: 0,
      level: 0,
      returned: 0,
      usage: [],
      uncounted: 0,
      debt: 0,
      wantRate: 0,
      wantTokens: 0,
    };
    return {
      id: this.#id,
      capacity: this.whole,
      epoch: this.#epoch,
      heldCapacity: held,
      wantCapacity,
      first,
      rank: 1,
      hasStarted,
      ...none,
    };
  }
}

interface SliceClaim {
  readonly first: number;
  readonly rate: number;
  readonly unit: number;
  readonly hasStarted: boolean;
  readonly isCalled: boolean;
}
