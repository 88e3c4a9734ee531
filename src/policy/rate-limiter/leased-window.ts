import type { Instant } from '../../core/clock.ts';
import { DemandMeter } from '../../core/demand-meter.ts';
import { LeasedPlaces } from '../../core/leased-places.ts';
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
  readonly #counts: (need: Need) => number;

  constructor(options: LimitOptions, now: Instant, onShort: () => void) {
    super({ ...options, limit: 0 });
    this.#meter = new DemandMeter(now);
    this.#places = new LeasedPlaces(options.id, options.limit, options.windowMs + guardMs(options.windowMs));
    this.#onShort = onShort;
    this.#counts = (need) => options.measure.of(need);
  }

  /** The whole limit; `limit` is the part held by this instance. */
  override get wholeLimit(): number {
    return this.#places.whole;
  }

  override setLimit(limit: number): void {
    this.#places.setWhole(limit);
    super.setLimit(this.#places.held);
  }

  override earliest(now: Instant, need: Need): Instant {
    const at = super.earliest(now, need);
    if (at <= now) return at;
    const amount = this.#counts(need);
    if (amount > this.wholeLimit + 1e-6) return Infinity;
    this.#meter.block(now, amount);
    this.#onShort();
    if (amount <= this.limit) return at;
    // Detached, a request above the instance's share starts when all of the share is free.
    return this.#places.isDetached && this.isEmpty(now) ? now : now + ASK_AGAIN_MS;
  }

  override earliestAfter(now: Instant, ahead: Need, need: Need): Instant {
    if (this.#counts(need) > this.wholeLimit + 1e-6) return Infinity;
    const missing = Math.max(0, this.#counts(ahead)) + this.#counts(need) - this.available(now);
    if (missing <= 0) return now;
    const share = Math.max(this.limit, this.wholeLimit / this.#places.members);
    return now + (missing / share) * this.windowMs;
  }

  override reserve(now: Instant, need: Need): number {
    this.#meter.take(Math.max(0, this.#counts(need)));
    return super.reserve(now, need);
  }

  claim(now: Instant, members: number, isCalled = false): LeaseClaim | null {
    const claim = this.#places.claim(now, members, this.#meter, this.#used(now), AHEAD_MS, isCalled);
    super.setLimit(this.#places.held);
    return claim;
  }

  granted(_now: Instant, grant: LeaseGrant): boolean {
    const isMore = this.#places.granted(grant);
    super.setLimit(this.#places.held);
    return isMore;
  }

  detach(_now: Instant, members: number): void {
    this.#places.detach(members);
    super.setLimit(this.#places.held);
  }

  leave(now: Instant): LeaseClaim {
    const claim = this.#places.leave(this.#used(now));
    super.setLimit(0);
    return claim;
  }

  #used(now: Instant): number {
    return this.limit - this.available(now);
  }
}
