import type { Instant } from '../../core/clock.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { Need, Resource, ResourceKind, Settlement } from '../../core/resource.ts';
import { LaggedLevel } from './lagged-level.ts';

/** What a limit counts, and how much of it a request needs or has used. */
export interface LimitMeasure {
  /** The amount to take at the start. */
  of(need: Need): number;
  /** The amount that the provider counted in the end; null: the reservation stands. */
  used(usage: TokenUsage, need: Need): number | null;
}

export interface LimitOptions {
  readonly id: string;
  readonly kind: ResourceKind;
  /** The most in one window. */
  readonly limit: number;
  readonly windowMs: number;
  /** The share of the window's limit that may be spent at once, in (0, 1]. */
  readonly burst: number;
  readonly measure: LimitMeasure;
}

/** One call settles at most this many times the limit, so that a wrong usage report does not block a target for days. */
const SETTLED_LIMITS_MAX = 10;

/** The amount that a settled call counts for; null: its reservation stands. */
export function settledAmount(measure: LimitMeasure, limit: number, usage: TokenUsage | null, need: Need): number | null {
  const used = usage === null ? null : measure.used(usage, need);
  return used === null ? null : Math.min(used, limit * SETTLED_LIMITS_MAX);
}

/** How much later than this process the provider may count a call: the longest assumed network delay. */
const GUARD_MS = 100;
const GUARD_SHARE_MAX = 0.03;

/** The assumed lag of the provider's count, in milliseconds; bounded by a share of the window. */
export function guardMs(windowMs: number): number {
  return Math.min(GUARD_MS, windowMs * GUARD_SHARE_MAX);
}

/** Differences below this share of the limit are rounding errors of float sums. */
const EPSILON_SHARE = 1e-9;

function epsilonOf(limit: number): number {
  return Math.max(1e-6, limit * EPSILON_SHARE);
}

/** At least one, so that something can start. */
function capacityOf(limit: number, burst: number): number {
  return Math.max(limit * burst, Math.min(1, limit));
}

export interface BucketLevel {
  readonly level: number;
  readonly epochMs: number;
}

/**
 * A token bucket: continuous refill up to `limit × burst`. A need above the burst but within the limit starts on a full bucket and takes it
 * below zero; one above the limit can never start.
 */
export class TokenBucket implements Resource {
  readonly id: string;
  readonly kind: ResourceKind;
  #limit: number;
  #capacity: number;
  #epsilon: number;
  readonly #measure: LimitMeasure;
  readonly windowMs: number;
  readonly #level: LaggedLevel;

  constructor(options: LimitOptions, now: Instant) {
    this.id = options.id;
    this.kind = options.kind;
    this.#limit = options.limit;
    this.#capacity = capacityOf(options.limit, options.burst);
    this.#epsilon = epsilonOf(options.limit);
    this.#measure = options.measure;
    this.windowMs = options.windowMs;
    this.#level = new LaggedLevel(this.#capacity, options.limit / options.windowMs, guardMs(options.windowMs), now);
  }

  get limit(): number {
    return this.#limit;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Applies at once, for waiting requests too; what was taken stays taken. */
  setLimit(now: Instant, limit: number, burst: number): void {
    this.#limit = limit;
    this.#epsilon = epsilonOf(limit);
    this.#capacity = capacityOf(limit, burst);
    this.#level.configure(now, this.#capacity, limit / this.windowMs);
  }

  earliest(now: Instant, need: Need): Instant {
    const amount = this.#measure.of(need);
    if (amount <= 0) return now;
    if (amount > this.limit + this.#epsilon) return Infinity;
    const wanted = Math.min(amount, this.#capacity);
    return wanted - this.#level.at(now) <= this.#epsilon ? now : this.#level.reaches(now, wanted);
  }

  earliestAfter(now: Instant, ahead: Need, need: Need): Instant {
    const [before, amount] = [Math.max(0, this.#measure.of(ahead)), this.#measure.of(need)];
    const missing = before + Math.min(amount, this.#capacity) - this.#level.at(now);
    if (amount <= 0 || before <= 0 || missing <= this.#epsilon) return this.earliest(now, need);
    return Math.max(this.earliest(now, need), now + (missing * this.windowMs) / this.limit);
  }

  reserve(now: Instant, need: Need): number {
    const amount = Math.max(0, this.#measure.of(need));
    return this.#level.take(now, amount);
  }

  onHeld(now: Instant, ticket: number, need: Need): number {
    return this.#level.hold(now, Math.max(0, this.#measure.of(need)), ticket);
  }

  onSent(now: Instant, ticket: number, need: Need): number {
    const amount = Math.max(0, this.#measure.of(need));
    this.#level.giveBack(now, amount, ticket);
    return this.#level.take(now, amount);
  }

  settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void {
    if (settlement.unsent === true) return this.cancel(now, ticket, need);
    const reserved = Math.max(0, this.#measure.of(need));
    const used = settledAmount(this.#measure, this.limit, settlement.usage, need);
    if (used === null) return;
    if (used >= reserved) this.#level.take(now, used - reserved);
    else this.#level.giveBack(now, reserved - used, ticket);
  }

  counts(need: Need): number {
    return this.#measure.of(need);
  }

  cancel(now: Instant, ticket: number, need: Need): void {
    this.#level.giveBack(now, Math.max(0, this.#measure.of(need)), ticket);
  }

  /** The amount that could be taken now; negative after a large request. */
  available(now: Instant): number {
    return this.#level.at(now);
  }

  /** Makes this process hold a part of the bucket. At or above `shareMin` no tokens are lost. */
  share(now: Instant, capacity: number, ratePerMs: number): void {
    this.#level.configure(now, capacity, ratePerMs);
  }

  /** Adds tokens received from other parts of the bucket, or removes returned ones. */
  shift(now: Instant, amount: number): void {
    this.#level.move(now, amount);
  }

  /** The smallest capacity at which no tokens are lost. */
  shareMin(now: Instant): number {
    return Math.max(0, this.#level.uncounted(now));
  }

  /** Taken, but possibly not yet counted by the provider. */
  uncounted(now: Instant): number {
    return this.#level.uncounted(now) - this.#level.at(now);
  }

  /** True if nothing is taken, so there is nothing to save. */
  isFull(now: Instant): boolean {
    return this.#level.at(now) >= this.#level.capacity - this.#epsilon;
  }

  /** The level to save, and to continue from after a restart or reload. */
  save(now: Instant, epochMs: number): BucketLevel {
    return { level: this.#level.at(now), epochMs };
  }

  restore(now: Instant, epochMs: number, saved: BucketLevel): void {
    this.#level.restore(now, saved.level, Math.max(0, epochMs - saved.epochMs));
  }
}
