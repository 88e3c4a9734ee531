import type { Instant } from '../../core/clock.ts';
import { DemandMeter } from '../../core/demand-meter.ts';
import { NEXT_AT_SHARE } from '../../core/lease-slice.ts';
import { LeasedPlaces } from '../../core/leased-places.ts';
import { LAST_STARTS_MS, USAGE_SLOTS } from '../../core/lease.ts';
import type { Leasable, LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import type { Need } from '../../core/resource.ts';
import { SlidingWindow } from './sliding-window.ts';
import { guardMs } from './token-bucket.ts';
import type { LimitOptions } from './token-bucket.ts';

/** An instance asks again after this long if nothing else is known, in milliseconds. */
const ASK_AGAIN_MS = 50;
/** Used amounts return a window later, so the usage of this much time is requested in addition, in milliseconds. */
const AHEAD_MS = 2_000;

/** One instance's part of a sliding window: it can give back only what it has not used within the window. */
export class LeasedWindow extends SlidingWindow implements Leasable {
  readonly #meter: DemandMeter;
  readonly #places: LeasedPlaces;
  readonly #onShort: () => void;
  readonly #isCurrent: (now: Instant) => boolean;
  readonly #counts: (need: Need) => number;
  #hasAsked = false;
  isSupplied = false;

  /** `isCurrent`: false after this process was frozen, until the next grant. */
  constructor(options: LimitOptions, now: Instant, onShort: () => void, isCurrent: (now: Instant) => boolean = () => true) {
    super({ ...options, limit: 0 });
    this.#meter = new DemandMeter(now);
    this.#places = new LeasedPlaces(options.id, options.limit, options.windowMs + guardMs(options.windowMs));
    this.#onShort = onShort;
    this.#isCurrent = isCurrent;
    this.#counts = (need) => options.measure.of(need);
  }

  /** The whole limit; `limit` is the part held by this instance. */
  override get wholeLimit(): number {
    return this.#places.whole;
  }

  /** What is not about to be used is left to the others. */
  get isPooled(): boolean {
    return true;
  }

  /** What this instance may use at once, and what of that is left. */
  reach(now: Instant): { readonly share: number; readonly available: number } {
    const pool = this.#places.isSliced ? this.#places.pool : 0;
    return { share: this.limit + pool, available: this.available(now) + pool };
  }

  override setLimit(limit: number): void {
    this.#places.setWhole(limit);
    super.setLimit(this.#places.held);
  }

  override earliest(now: Instant, need: Need): Instant {
    const at = super.earliest(now, need);
    const amount = this.#counts(need);
    if (at <= now) return amount <= 0 || this.#isCurrent(now) ? at : now + ASK_AGAIN_MS;
    if (amount > this.wholeLimit + 1e-6) return Infinity;
    this.#meter.block(now, amount);
    this.#places.shortage.note(now);
    this.#onShort();
    if (!this.#places.isDetached) return this.#earliestOfFleet(now, amount, at);
    if (amount <= this.limit) return at;
    // Detached, a request above the instance's share starts when all of the share is free.
    return this.isEmpty(now) ? now : now + ASK_AGAIN_MS;
  }

  /** What others hold and do not need is unknown until they have been asked. */
  #earliestOfFleet(now: Instant, amount: number, at: Instant): Instant {
    const missing = amount - this.available(now) - this.#places.pool;
    if (missing > 1e-6 && amount <= this.limit && this.#places.isRestFree) return at;
    if (missing <= 1e-6 || this.#places.heldByOthers(now) > 0) return now + ASK_AGAIN_MS;
    return Math.min(at, now + Math.max(ASK_AGAIN_MS, this.#untilFree(missing)));
  }

  /** An estimate: the whole limit returns in a window. */
  #untilFree(missing: number): number {
    const even = this.wholeLimit / this.#places.members;
    // With slices it holds more all the time, and estimates of a queue need a steady rate.
    return (missing / (this.#places.isSliced ? even : Math.max(this.limit, even))) * this.windowMs;
  }

  override earliestAfter(now: Instant, ahead: Need, need: Need): Instant {
    if (this.#counts(need) > this.wholeLimit + 1e-6) return Infinity;
    const amount = Math.max(0, this.#counts(ahead)) + this.#counts(need);
    const missing = amount - this.available(now) - this.#places.pool - this.#places.heldByOthers(now);
    return missing <= 0 ? now : now + this.#untilFree(missing);
  }

  override reserve(now: Instant, need: Need): number {
    this.#meter.take(Math.max(0, this.#counts(need)));
    const ticket = super.reserve(now, need);
    const { slice, pool } = this.#places;
    if (this.#hasAsked || pool <= 0 || this.available(now) >= slice * NEXT_AT_SHARE) return ticket;
    this.#hasAsked = true;
    this.#onShort();
    return ticket;
  }

  claim(now: Instant, members: number, isCalled = false): LeaseClaim | null {
    const claim = this.#places.claim(now, members, this.#meter, this.#used(now), AHEAD_MS, isCalled);
    super.setLimit(this.#places.held);
    return claim && { ...claim, usage: this.returning(now, USAGE_SLOTS, LAST_STARTS_MS) };
  }

  granted(now: Instant, grant: LeaseGrant): boolean {
    const isMore = this.#places.granted(now, grant);
    this.isSupplied = isMore;
    this.#hasAsked = false;
    super.setLimit(this.#places.held);
    return isMore;
  }

  detach(now: Instant, members: number): void {
    this.#places.detach(now, members);
    super.setLimit(this.#places.held);
  }

  leave(now: Instant): LeaseClaim {
    const claim = { ...this.#places.leave(this.#used(now)), usage: this.returning(now, USAGE_SLOTS, LAST_STARTS_MS) };
    super.setLimit(0);
    return claim;
  }

  #used(now: Instant): number {
    return this.limit - this.available(now);
  }
}
