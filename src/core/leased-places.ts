/** One instance's part of a limit without refill: a number of places, or of units in a window. What is in use can't be given away. */
import type { Instant } from './clock.ts';
import type { DemandMeter } from './demand-meter.ts';
import type { LeaseClaim, LeaseGrant } from './lease.ts';

/** A part that is not asked for keeps so many units. */
const KEPT_UNITS = 2;
/** Less than this share of a part is no reason to give it back. */
const SLACK = 1.02;
/** A part that nothing happens to is confirmed so often, in milliseconds: the ledger forgets what it does not hear of. */
const CONFIRM_MS = 60_000;

export class LeasedPlaces {
  readonly #id: string;
  whole: number;
  members = 1;
  /** What may be used. What is in use beyond it still counts as held. */
  held = 0;
  #fair = { capacity: Infinity, isContested: false };
  #epoch = 0;
  /** It is on its own, with a share. */
  isDetached = false;
  #isIdle = false;
  #saidAt: Instant = -Infinity;
  /** What the ledger knows of as held. */
  #said = 0;

  readonly #countedMs: number;

  /** `countedMs`: so long what was used counts, whatever has ended; 0: until it ends. */
  constructor(id: string, whole: number, countedMs: number) {
    this.#id = id;
    this.#countedMs = countedMs;
    this.whole = whole;
  }

  setWhole(whole: number): void {
    this.whole = whole;
    if (this.isDetached) this.#takeShare();
    this.#saidAt = -Infinity;
  }

  /** `aheadMs`: for so long of its use it wants places beside those in use. */
  claim(now: Instant, members: number, meter: DemandMeter, used: number, aheadMs: number): LeaseClaim | null {
    this.members = Math.max(1, members);
    const hasReturned = this.#said > Math.max(this.held, used) + 1e-9;
    const isDue = now - this.#saidAt >= CONFIRM_MS || this.isDetached;
    if (!meter.isActive(now) && !isDue && !this.#fair.isContested && !hasReturned && this.#isIdle) return null;
    this.#saidAt = now;
    const first = meter.first(now);
    const { hasStarted } = meter;
    const rate = meter.read(now);
    this.#isIdle = rate === 0 && first === 0 && used === 0;
    const isAlone = members <= 1;
    // Where others wait, places that stand empty are for them.
    const ahead = this.#fair.isContested ? 0 : rate * aheadMs;
    const kept = Math.min(KEPT_UNITS * Math.max(meter.unit, Math.min(1, this.whole)), this.whole / (4 * this.members));
    const wanted = used + Math.max(first, ahead + (kept < 1 ? 0 : kept));
    const wantCapacity = isAlone || first > 0 ? this.whole : Math.min(this.whole, wanted);
    const mayShrink = !isAlone && !this.isDetached;
    if (mayShrink && this.held > wantCapacity * SLACK) this.held = wantCapacity;
    if (mayShrink && this.#fair.isContested && this.held > this.#fair.capacity * SLACK) this.held = this.#fair.capacity;
    // What it uses already is no part of what the first that waits needs.
    return this.#toClaim(Math.max(this.held, used), wantCapacity, first > 0 ? Math.min(this.whole, used + first) : 0, hasStarted);
  }

  granted(grant: LeaseGrant): boolean {
    const before = this.held;
    this.isDetached = false;
    this.#epoch = grant.epoch;
    this.#fair = { capacity: grant.fairCapacity, isContested: grant.isContested };
    // In use beyond its part: only more than that is new.
    if (grant.capacity > this.#said || grant.capacity < this.held) this.held = grant.capacity;
    this.#said = grant.capacity;
    return this.held > before;
  }

  detach(members: number): void {
    if (this.isDetached) return;
    this.isDetached = true;
    this.members = Math.max(1, members);
    this.#takeShare();
  }

  /** At least one, so that an instance on its own is not wholly closed. */
  #takeShare(): void {
    this.held = Math.min(this.whole, Math.max(Math.min(1, this.whole), this.whole / this.members));
  }

  leave(used: number): LeaseClaim {
    this.isDetached = false;
    this.held = 0;
    return this.#toClaim(used, 0, 0, false);
  }

  #toClaim(held: number, wantCapacity: number, first: number, hasStarted: boolean): LeaseClaim {
    this.#said = held;
    const none = {
      countedMs: this.#countedMs,
      rate: 0,
      poolLevel: 0,
      heldRate: 0,
      level: 0,
      returned: 0,
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
