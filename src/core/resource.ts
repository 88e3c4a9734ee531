import type { Instant } from './clock.ts';
import type { TokenUsage } from './facts.ts';
import type { Source } from './source.ts';

/** The need of one attempt. */
export interface Need {
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** The estimated cost in US dollars, where its client has a budget. */
  readonly usd?: number;
  /** The source of the request. Absent: any source; the earliest instant over all of them counts. */
  readonly source?: Source;
  /** The provider's name of the model. Absent: any. */
  readonly model?: string;
  /** No other target can serve the request now, so it may try a target that is paused for other requests of its client. */
  readonly hasNoAlternative?: boolean;
}

/** `cooldown`: a pause after a rate limit; `pause`: one after another error, as the target requested; `quarantine`: of a credential (quota, bad key). */
export const RESOURCE_KINDS = [
  'requests',
  'tokens',
  'concurrency',
  'cooldown',
  'pause',
  'quarantine',
  'breaker',
  'client',
  'budget',
] as const;
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/** Blocked until another permit is settled or cancelled, not until an instant. */
export const WHEN_SETTLED = -1;

/** The result of an attempt, for the resources of its permit. */
export interface Settlement {
  /** Actual usage; null: not reported, and the reservation stands. */
  readonly usage: TokenUsage | null;
  /** The actual cost in US dollars; absent: not known, and the reservation stands. */
  readonly usd?: number;
  /** `neutral`: no information on the target's health (the caller disconnected, or is at fault). */
  readonly health: 'success' | 'failure' | 'neutral';
  /** True if the request was not sent (no connection): its health counts, its reservation is released. */
  readonly unsent?: boolean;
}

/**
 * A limited resource that permits reserve from. Synchronous; changes its own state only; `now` is always given.
 * `core/resource.contract.ts` tests the contract of every resource.
 */
export interface Resource {
  /** Unique in the process and stable over reloads: `openai#1:requestsPerMinute`. */
  readonly id: string;
  readonly kind: ResourceKind;
  /**
   * `now` (or before) if `need` can be reserved at once; else the instant from which it can be if no other permit reserves meanwhile;
   * `WHEN_SETTLED` if the end of another permit must free it; `Infinity` if the need can never be met.
   */
  earliest(now: Instant, need: Need): Instant;
  /**
   * When `need` can be reserved after others have reserved `ahead`, each as early as possible: approximately, and not before. Absent: the
   * resource does not refill with time.
   */
  earliestAfter?(now: Instant, ahead: Need, need: Need): Instant;
  /** The limit in the resource's own unit, and below the part that is available now; absent: none of it is reserved for priorities. */
  readonly limit?: number;
  /** The maximum that can be available at once, if less than the limit. Absent: the limit. */
  readonly capacity?: number;
  available?(now: Instant): number;
  /** Reserved amounts are returned all at once, one window later. */
  readonly isWindow?: true;
  /** Most of what is left can be fetched, and is not `available` here: `earliestAfter` counts on it. Default: false. */
  readonly isPooled?: boolean;
  /** Reserves `need`; called only when `earliest` allows it now. Returns a ticket for `settle` or `cancel` with the same need. */
  reserve(now: Instant, need: Need): number;
  /** The attempt was sent and has ended: the reservation is corrected to the actual usage. */
  settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void;
  /**
   * A response to the attempt has begun. Returns true if this allows other requests to start. Absent: the resource ignores it.
   */
  onFirstContent?(now: Instant, ticket: number, need: Need): boolean;
  /**
   * The request is sent later than now (its checkpoint is saved first): it does not count before `onSent`, and stays reserved. Returns the new
   * ticket. Absent: the resource does not count by time, or `onSent` is enough.
   */
  onHeld?(now: Instant, ticket: number, need: Need): number;
  /**
   * The request left later than it was reserved (a connection had to be opened): it counts from now on. Returns the new ticket. Absent: the
   * resource does not count by time.
   */
  onSent?(now: Instant, ticket: number, need: Need): number;
  /** The attempt was not sent: the reservation is released. */
  cancel(now: Instant, ticket: number, need: Need): void;
}

/** The resources of a permit on one target, reserved all together or not at all. */
export interface Capacity {
  readonly key: string;
  readonly resources: readonly Resource[];
  /** Used only if no other target can respond in time. Default: false. */
  readonly isLastResort?: boolean;
}
