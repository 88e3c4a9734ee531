import type { Instant } from '../../core/clock.ts';
import { DemandMeter } from '../../core/demand-meter.ts';
import { LeasedPlaces } from '../../core/leased-places.ts';
import type { Leasable, LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import { ConcurrencyLimiter } from './concurrency-limiter.ts';

/** An instance asks again after this long if nothing else is known, in milliseconds. */
const ASK_AGAIN_MS = 50;

/** One instance's part of a concurrency limit: whole calls, of which those in use cannot be given back. */
export class LeasedConcurrency extends ConcurrencyLimiter implements Leasable {
  readonly #meter: DemandMeter;
  readonly #places: LeasedPlaces;
  readonly #onShort: () => void;

  constructor(id: string, limit: number, now: Instant, onShort: () => void) {
    super(id, 0);
    this.#meter = new DemandMeter(now);
    this.#places = new LeasedPlaces(id, limit, 0);
    this.#onShort = onShort;
  }

  /** The whole limit; `limit` is the part held by this instance. */
  get wholeLimit(): number {
    return this.#places.whole;
  }

  override setLimit(limit: number): void {
    this.#places.setWhole(limit);
  }

  override earliest(now: Instant): Instant {
    if (this.inUse + 1 <= this.limit) return now;
    if (this.wholeLimit < 1) return Infinity;
    this.#meter.block(now, 1);
    this.#onShort();
    return this.inUse > 0 ? WHEN_SETTLED : now + ASK_AGAIN_MS;
  }

  override reserve(): number {
    this.#meter.take(1);
    return super.reserve();
  }

  claim(now: Instant, members: number, isCalled = false): LeaseClaim | null {
    const claim = this.#places.claim(now, members, this.#meter, this.inUse, 500, isCalled);
    this.#applyHeld();
    return claim;
  }

  granted(now: Instant, grant: LeaseGrant): boolean {
    const isMore = this.#places.granted(now, grant);
    this.#applyHeld();
    return isMore;
  }

  detach(now: Instant, members: number): void {
    this.#places.detach(now, members);
    this.#applyHeld();
  }

  leave(): LeaseClaim {
    const claim = this.#places.leave(this.inUse);
    super.setLimit(0);
    return claim;
  }

  /** A fraction of a call admits nothing. */
  #applyHeld(): void {
    super.setLimit(Math.floor(this.#places.held + 1e-9));
  }
}
