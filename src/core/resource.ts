import type { Instant } from './clock.ts';
import type { TokenUsage } from './facts.ts';
import type { Source } from './source.ts';

/** What one attempt needs. */
export interface Need {
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** The source of the request. Absent: any source; the earliest instant over all of them counts. */
  readonly source?: Source;
  /** The model that the target is asked for, as its provider calls it. Absent: any. */
  readonly model?: string;
  /** No other target can serve it now, so it may test a pause that other requests of its client have caused. */
  readonly hasNoAlternative?: boolean;
}

/** `bench`: a credential that is out of order (quota, bad key); `cooldown`: a target asked for a pause. */
export const RESOURCE_KINDS = ['requests', 'tokens', 'concurrency', 'cooldown', 'bench', 'breaker', 'client', 'budget'] as const;
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/** Blocked now, and no clock will free it: the settlement or cancellation of another permit does. */
export const WHEN_SETTLED = -1;

/** How an attempt ended, for the resources that its permit took from. */
export interface Settlement {
  /** Real usage; null where the provider told none: then the reservation stands. */
  readonly usage: TokenUsage | null;
  /** `neutral`: says nothing about the target's health (the caller left, the caller's own fault). */
  readonly health: 'success' | 'failure' | 'neutral';
  /** True if the request never left (no connection): its health counts, what it reserved goes back. */
  readonly unsent?: boolean;
}

/**
 * Anything that a permit takes from. Synchronous and pure but for its own state; `now` is always given.
 * The contract is tested for every resource in `core/resource.contract.ts`.
 */
export interface Resource {
  /** Unique in the process, stable over reloads: `openai#1:requestsPerMinute`. */
  readonly id: string;
  readonly kind: ResourceKind;
  /**
   * `now` (or before) if `need` can be taken at once; else the instant from which it can be if nobody else takes
   * from it; `WHEN_SETTLED` if only another permit's end frees it; `Infinity` if this need can never be met.
   */
  earliest(now: Instant, need: Need): Instant;
  /**
   * When `need` can be taken once `ahead` has been taken by others, each as soon as it can be: not before, and about then. Absent:
   * the resource does not fill with time.
   */
  earliestAfter?(now: Instant, ahead: Need, need: Need): Instant;
  /** What it allows in all, in its own unit, and what of that is there now; absent: nothing is kept free of it. */
  readonly limit?: number;
  /** The most that can be there at once, where that may be less than the limit. Absent: the limit. */
  readonly capacity?: number;
  available?(now: Instant): number;
  /** What is taken comes back all at once, a window later. */
  readonly isWindow?: true;
  /** Takes `need`; only called when `earliest` allows it now. The ticket comes back at `settle` or `cancel`, with the same need. */
  reserve(now: Instant, need: Need): number;
  /** The attempt was sent and ended: the reservation is corrected to what was really used. */
  settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void;
  /**
   * An answer to the attempt has begun. Returns true if that lets others start who could not before. Absent: it tells the resource
   * nothing.
   */
  onFirstContent?(now: Instant, ticket: number, need: Need): boolean;
  /**
   * The request left later than it was reserved (a connection had to be opened): it counts from now on. Returns the new ticket. Absent: the
   * resource does not count by time.
   */
  onSent?(now: Instant, ticket: number, need: Need): number;
  /** The attempt was never sent: everything goes back. */
  cancel(now: Instant, ticket: number, need: Need): void;
}

/** What a permit on one target takes from, all together or not at all. */
export interface Capacity {
  readonly key: string;
  readonly resources: readonly Resource[];
  /** Used only when no better one can answer in time. Default: false. */
  readonly isLastResort?: boolean;
}
