import type { Instant } from '../../core/clock.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { Need, Resource, ResourceKind, Settlement } from '../../core/resource.ts';

/** What a limit counts, and how many of it a request needs or has used. */
export interface LimitMeasure {
  /** Taken at the start. */
  of(need: Need): number;
  /** Really counted by the provider in the end; null: the reservation stands. */
  used(usage: TokenUsage, need: Need): number | null;
}

export interface LimitOptions {
  readonly id: string;
  readonly kind: ResourceKind;
  /** At most this many in one window. */
  readonly limit: number;
  readonly windowMs: number;
  /** Share of the window's limit that may be spent at once, in (0, 1]. */
  readonly burst: number;
  readonly measure: LimitMeasure;
}

/**
 * The provider counts when a call arrives, we when it leaves. A call that travels faster than an earlier one finds
 * less refilled than we think; so what is refilled counts with us only after this long.
 */
const GUARD_MS = 100;
const GUARD_SHARE_MAX = 0.03;

/** The part of a window by which our count lags behind the provider's. */
export function guardMs(windowMs: number): number {
  return Math.min(GUARD_MS, windowMs * GUARD_SHARE_MAX);
}

/** Amounts are sums of floats; below this they are the same. */
const EPSILON = 1e-6;

export interface BucketLevel {
  readonly level: number;
  readonly epochMs: number;
}

/**
 * Continuous refill up to `limit × burst`. A need above the burst but within the limit starts on a full bucket and
 * takes it below zero; one above the limit can never start.
 */
export class TokenBucket implements Resource {
  readonly id: string;
  readonly kind: ResourceKind;
  readonly limit: number;
  readonly #measure: LimitMeasure;
  readonly #ratePerMs: number;
  readonly #capacity: number;
  readonly #guard: number;
  #level: number;
  #at: Instant;

  constructor(options: LimitOptions, now: Instant) {
    this.id = options.id;
    this.kind = options.kind;
    this.limit = options.limit;
    this.#measure = options.measure;
    this.#ratePerMs = options.limit / options.windowMs;
    this.#capacity = Math.max(options.limit * options.burst, Math.min(1, options.limit));
    this.#guard = this.#ratePerMs * guardMs(options.windowMs);
    this.#level = this.#capacity + this.#guard;
    this.#at = now;
  }

  earliest(now: Instant, need: Need): Instant {
    const amount = this.#measure.of(need);
    if (amount <= 0) return now;
    if (amount > this.limit + EPSILON) return Infinity;
    const missing = Math.min(amount, this.#capacity) - (this.#levelAt(now) - this.#guard);
    return missing <= EPSILON ? now : now + missing / this.#ratePerMs;
  }

  reserve(now: Instant, need: Need): number {
    const amount = this.#measure.of(need);
    this.#take(now, amount);
    return amount;
  }

  settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void {
    const used = settlement.usage === null ? null : this.#measure.used(settlement.usage, need);
    if (used !== null) this.#take(now, used - ticket);
  }

  cancel(now: Instant, ticket: number): void {
    this.#take(now, -ticket);
  }

  /** What could be taken now; below zero after a large request. */
  available(now: Instant): number {
    return Math.min(this.#levelAt(now) - this.#guard, this.#capacity);
  }

  /** The level to save, and to go on from after a restart or reload. */
  save(now: Instant, epochMs: number): BucketLevel {
    return { level: this.#levelAt(now), epochMs };
  }

  restore(now: Instant, epochMs: number, saved: BucketLevel): void {
    const passedMs = Math.max(0, epochMs - saved.epochMs);
    this.#level = Math.min(this.#capacity + this.#guard, saved.level + passedMs * this.#ratePerMs);
    this.#at = now;
  }

  #levelAt(now: Instant): number {
    return Math.min(this.#capacity + this.#guard, this.#level + (now - this.#at) * this.#ratePerMs);
  }

  #take(now: Instant, amount: number): void {
    this.#level = Math.min(this.#capacity + this.#guard, this.#levelAt(now) - amount);
    this.#at = now;
  }
}
