/**
 * One instance's part of a budget that several instances share. It may spend and reserve up to its ceiling, which the ledger raises by
 * slices: what running requests reserve, and the expected need of the next seconds. What an instance does not need is left to the others, so
 * that one that is killed loses its slice at most.
 *
 * Claims are in micro-dollars, since the ledger deals in whole units. Each period has a ledger of its own.
 */
import type { Instant } from '../../core/clock.ts';
import { DemandMeter } from '../../core/demand-meter.ts';
import type { Leasable, LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need } from '../../core/resource.ts';
import { MoneyBudget, ROUNDING_USD } from './money-budget.ts';
import type { BudgetOptions, BudgetPeriod } from './money-budget.ts';

const MICRO = 1e6;
/** An instance asks again after this long if nothing else is known, in milliseconds. */
const ASK_AGAIN_MS = 50;
/** A slice is enough for this much time of expected reservations, in milliseconds. */
const AHEAD_MS = 3_000;
/** The slice that an idle instance keeps, in units of its largest recent reservation. */
const KEPT_UNITS = 2;
/** While requests wait, each slice is larger than the previous one by this factor, so that bursts take few exchanges. */
const GROWTH = 4;
/** All slices without a reservation are at most this part of the budget, or what running requests reserve. */
const UNRESERVED_SHARE = 1 / 16;
/** The interval at which an idle part is confirmed, in milliseconds. */
const CONFIRM_MS = 60_000;
/** The same while requests are refused, as a member that was taken for dead may be back. */
const REFUSING_MS = 5_000;
/** After the store was away, its members report what they have spent within this time, in milliseconds. */
const RECOVERY_MS = 5_000;
/** A slice that exceeds its target by less than this factor is kept. */
const SLACK = 1.02;

/** The part of one period. */
interface PeriodLease {
  readonly sinceMs: number;
  /** This instance's spending and reservations in the period may add up to this. */
  ceilingUsd: number;
  epoch: number;
  /** Spent, according to the last claim that was answered. */
  acknowledgedUsd: number;
  /** What others have spent, hold and have lost, according to the ledger. */
  elsewhereUsd: number;
  heldUsd: number;
  lostUsd: number;
  /** Its unreserved slice according to the last claim. */
  aheadUsd: number;
  fair: { readonly usd: number; readonly isContested: boolean };
  /** The ceiling while the store is away, and until the others have reported what they spent meanwhile; null: none. */
  detachedUsd: number | null;
  /** Until when that applies; null: the store is away. */
  recoversAt: Instant | null;
}

interface SentClaim {
  readonly lease: PeriodLease;
  readonly ownUsd: number;
  readonly wantUsd: number;
  readonly firstUsd: number;
}

export class LeasedBudget extends MoneyBudget implements Leasable {
  readonly #meter: DemandMeter;
  readonly #onShort: () => void;
  #lease = periodLease(-Infinity);
  #members = 1;
  #isDetached = false;
  #isIdle = false;
  #claimedAt: Instant = -Infinity;
  #refusedAt: Instant = -Infinity;
  /** The last claim; null: it was answered. */
  #sent: SentClaim | null = null;
  isSupplied = true;

  constructor(options: BudgetOptions, now: Instant, onShort: () => void) {
    super(options);
    this.#meter = new DemandMeter(now);
    this.#onShort = onShort;
  }

  override configure(usd: number, per: BudgetPeriod): void {
    if (usd === this.usd && per === this.per) return;
    if (per !== this.per) this.#lease = periodLease(-Infinity);
    super.configure(usd, per);
    this.#lease.detachedUsd = this.#lease.recoversAt = null;
    this.#claimedAt = -Infinity;
  }

  /** Of all instances, as far as known. */
  override spentUsd(now: Instant): number {
    return super.spentUsd(now) + this.#current(now).lostUsd;
  }

  override remainingUsd(now: Instant): number {
    return super.remainingUsd(now) - this.#current(now).lostUsd;
  }

  override earliest(now: Instant, need: Need): Instant {
    if (need.usd === undefined || need.usd === 0) return now;
    const usd = need.usd - ROUNDING_USD;
    if (usd <= this.#freeUsd(now)) return now;
    if (usd > this.usd) return Infinity;
    const unspent = this.#unspentUsd(now);
    if (usd > unspent) {
      this.#refusedAt = now;
      return this.nextPeriod(now);
    }
    this.#meter.block(now, need.usd * MICRO);
    this.#onShort();
    const own = this.#ownPartUsd(now);
    const mayGet = this.#isDetached ? usd > own : unspent - own > ROUNDING_USD;
    return mayGet ? now + ASK_AGAIN_MS : WHEN_SETTLED;
  }

  /** What the ledger has left can be fetched; what others hold may never be returned. */
  override isOver(now: Instant, need: Need): boolean {
    if (need.usd === undefined || need.usd === 0) return false;
    const free = this.#freeUsd(now);
    const pool = this.#isDetached ? 0 : this.#unspentUsd(now) - this.#ownPartUsd(now) - this.#lease.heldUsd;
    return need.usd - ROUNDING_USD > Math.max(0, free) + Math.max(0, pool);
  }

  override reserve(now: Instant, need: Need): number {
    // A request that costs nothing does not end the wait of another one.
    if (need.usd !== undefined && need.usd > 0) this.#meter.take(need.usd * MICRO);
    return super.reserve(now, need);
  }

  claim(now: Instant, members: number, isCalled = false): LeaseClaim | null {
    this.#members = Math.max(1, members);
    const lease = this.#current(now);
    if (!isCalled && !this.#needsClaim(now, lease)) return null;
    this.#claimedAt = now;
    const firstUsd = this.#meter.first(now) / MICRO;
    const { hasStarted } = this.#meter;
    const ratePerMs = this.#meter.read(now) / MICRO;
    this.#isIdle = ratePerMs === 0 && firstUsd === 0;
    lease.aheadUsd = this.#aheadUsd(lease, firstUsd, ratePerMs, isCalled || lease.fair.isContested);
    const wantUsd = this.reservedUsd + Math.max(firstUsd, lease.aheadUsd);
    this.#giveBack(now, lease, wantUsd);
    return this.#toClaim(now, lease, { wantUsd, firstUsd, hasStarted });
  }

  granted(now: Instant, grant: LeaseGrant): boolean {
    const sent = this.#sent;
    const lease = this.#current(now);
    this.#sent = null;
    // A claim for the previous period changes nothing in this one.
    if (sent === null || sent.lease !== lease) return false;
    const before = this.#freeUsd(now);
    this.#isDetached = false;
    if (lease.detachedUsd !== null) lease.recoversAt ??= now + RECOVERY_MS;
    this.#endRecovery(now, lease);
    lease.epoch = grant.epoch;
    lease.acknowledgedUsd = sent.ownUsd;
    lease.ceilingUsd = Math.min(sent.ownUsd + grant.capacity / MICRO, lease.detachedUsd ?? Infinity);
    lease.fair = { usd: grant.fairCapacity / MICRO, isContested: grant.isContested };
    if (grant.elsewhere !== undefined) {
      const { spent, held, lost } = grant.elsewhere;
      lease.elsewhereUsd = Math.max(lease.elsewhereUsd, spent / MICRO);
      lease.heldUsd = held / MICRO;
      lease.lostUsd = lost / MICRO;
      this.setElsewhere(now, { sinceMs: lease.sinceMs, usd: spent / MICRO });
    }
    const free = this.#freeUsd(now);
    this.isSupplied = grant.capacity / MICRO >= sent.wantUsd - ROUNDING_USD && free >= sent.firstUsd - ROUNDING_USD;
    // Where others hold the rest, a waiting request may use the target for requests over budget.
    return free > before || (sent.firstUsd > 0 && !this.isSupplied);
  }

  detach(now: Instant, members: number): void {
    const lease = this.#current(now);
    if (!this.#isDetached) {
      this.#members = Math.max(1, members);
      this.#endRecovery(now, lease);
    }
    this.#isDetached = true;
    this.#takeShare(now, lease);
  }

  leave(now: Instant): LeaseClaim {
    const lease = this.#current(now);
    this.#isDetached = false;
    lease.ceilingUsd = this.ownUsd(now);
    return this.#toClaim(now, lease, { wantUsd: 0, firstUsd: 0, hasStarted: false });
  }

  /** Neither spent nor reserved, and usable by this instance without a grant. */
  #freeUsd(now: Instant): number {
    const ceiling = this.#current(now).ceilingUsd;
    return Math.min(ceiling - this.ownUsd(now) - this.reservedUsd, super.remainingUsd(now));
  }

  /** Not spent by any instance; reservations and slices count as unspent. */
  #unspentUsd(now: Instant): number {
    return this.usd - this.spentUsd(now);
  }

  /** What this instance holds, reservations included. */
  #ownPartUsd(now: Instant): number {
    return Math.max(0, this.reservedUsd, this.#current(now).ceilingUsd - this.ownUsd(now));
  }

  #current(now: Instant): PeriodLease {
    const sinceMs = this.sinceMs(now);
    if (sinceMs !== this.#lease.sinceMs) this.#lease = periodLease(sinceMs);
    if (this.#isDetached && this.#lease.detachedUsd === null) this.#takeShare(now, this.#lease);
    return this.#lease;
  }

  /** The share is fixed when the store is lost, so that its spending is counted against it. */
  #takeShare(now: Instant, lease: PeriodLease): void {
    lease.detachedUsd ??= this.ownUsd(now) + Math.max(this.reservedUsd, (this.usd - super.spentUsd(now) - lease.lostUsd) / this.#members);
    lease.ceilingUsd = lease.detachedUsd;
  }

  #endRecovery(now: Instant, lease: PeriodLease): void {
    if (lease.recoversAt !== null && now >= lease.recoversAt) lease.detachedUsd = lease.recoversAt = null;
  }

  #needsClaim(now: Instant, lease: PeriodLease): boolean {
    const dueMs = now - this.#refusedAt < REFUSING_MS ? REFUSING_MS : CONFIRM_MS;
    if (now - this.#claimedAt >= dueMs || this.#isDetached || !this.#isIdle || this.#meter.isActive(now)) return true;
    if (this.#sent !== null || this.ownUsd(now) !== lease.acknowledgedUsd) return true;
    return lease.fair.isContested ? this.#ownPartUsd(now) > ROUNDING_USD : this.#freeUsd(now) > lease.aheadUsd * SLACK + ROUNDING_USD;
  }

  /** The slice without reservations that it needs. `isScarce`: others wait for money. */
  #aheadUsd(lease: PeriodLease, firstUsd: number, ratePerMs: number, isScarce: boolean): number {
    const most = Math.max((this.usd * UNRESERVED_SHARE) / this.#members, this.reservedUsd);
    const grown = firstUsd > 0 ? GROWTH * Math.max(lease.aheadUsd, firstUsd) : 0;
    const unitUsd = this.#meter.unit / MICRO;
    const units = Math.min(KEPT_UNITS, Math.floor(most / unitUsd));
    const kept = isScarce || unitUsd === 0 ? 0 : units * unitUsd;
    return Math.min(most, Math.max(ratePerMs * AHEAD_MS, grown, kept));
  }

  /** Leaves to the others what it does not need and, where they wait, what exceeds its fair share. */
  #giveBack(now: Instant, lease: PeriodLease, wantUsd: number): void {
    const own = this.ownUsd(now);
    if (lease.ceilingUsd - own > wantUsd * SLACK) lease.ceilingUsd = own + wantUsd;
    const { usd, isContested } = lease.fair;
    // Exactly, since many small excesses could be what another instance lacks for one request.
    if (isContested) lease.ceilingUsd = Math.min(lease.ceilingUsd, own + Math.max(this.reservedUsd, usd));
  }

  #toClaim(now: Instant, lease: PeriodLease, { wantUsd, firstUsd, hasStarted }: Wish): LeaseClaim {
    const ownUsd = this.ownUsd(now);
    this.#sent = { lease, ownUsd, wantUsd, firstUsd };
    const elsewhereUsd = lease.epoch === 0 ? super.spentUsd(now) - ownUsd : lease.elsewhereUsd;
    const none = {
      rate: 0,
      poolLevel: 0,
      heldRate: 0,
      usage: [],
      level: 0,
      uncounted: 0,
      returned: 0,
      debt: 0,
      wantRate: 0,
      wantTokens: 0,
    };
    return {
      id: `${this.id}@${this.per}:${lease.sinceMs}`,
      capacity: this.usd * MICRO,
      countedMs: this.nextPeriod(now) - now,
      epoch: lease.epoch,
      heldCapacity: this.#ownPartUsd(now) * MICRO,
      wantCapacity: wantUsd * MICRO,
      first: firstUsd > 0 ? (this.reservedUsd + firstUsd) * MICRO : 0,
      rank: 1,
      hasStarted,
      spending: {
        spent: ownUsd * MICRO,
        reserved: this.reservedUsd * MICRO,
        acknowledged: lease.acknowledgedUsd * MICRO,
        elsewhere: elsewhereUsd * MICRO,
      },
      ...none,
    };
  }
}

interface Wish {
  readonly wantUsd: number;
  readonly firstUsd: number;
  readonly hasStarted: boolean;
}

function periodLease(sinceMs: number): PeriodLease {
  return {
    sinceMs,
    ceilingUsd: 0,
    epoch: 0,
    acknowledgedUsd: 0,
    elsewhereUsd: 0,
    heldUsd: 0,
    lostUsd: 0,
    aheadUsd: 0,
    fair: { usd: Infinity, isContested: false },
    detachedUsd: null,
    recoversAt: null,
  };
}
