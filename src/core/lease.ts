/**
 * Leases: shares of a limit that several instances share. The holder of a lease sends claims and receives grants; the ledger computes grants
 * (policy/lease/ledger.ts), and the store exchanges the messages.
 */
import type { Instant } from './clock.ts';

/**
 * Of the claim for a budget, a limit whose use is spent for good within a period. Amounts are cumulative, so that a claim that is repeated,
 * or whose reply is lost, counts nothing twice.
 */
export interface LeaseSpending {
  /** What the member has spent in the period; `heldCapacity` is beside it. */
  readonly spent: number;
  /** The part of `heldCapacity` that running requests hold. */
  readonly reserved: number;
  /** What of `spent` was part of the last claim that was answered. */
  readonly acknowledged: number;
  /** What the other members have spent, as far as is known to it, for a ledger that has lost its data. */
  readonly elsewhere: number;
}

/** What is spent and held of a budget by others than the member. */
export interface SpendingElsewhere {
  /** Spent by other members, those that have ended included. */
  readonly spent: number;
  /** Held by live members, and not spent. */
  readonly held: number;
  /** Held by members that ended without returning it, so that calls may have been billed: counts as spent. */
  readonly lost: number;
}

/** The claim of a member for one limit. Amounts are in the limit's own unit, rates in units per millisecond. */
export interface LeaseClaim {
  /** The ledger's. That of a budget is the id of its `Leasable` with the period after a `@`. */
  readonly id: string;
  /** The whole limit. */
  readonly capacity: number;
  readonly rate: number;
  /**
   * Of a window: the used amounts that return within each `USAGE_SLOTS`th of `countedMs`, soonest first, without those that the member may
   * use again before it is found dead. Empty: not known.
   */
  readonly usage: readonly number[];
  /** How long the held amount counts as used after the member has ended, in milliseconds, since the provider still counts it. */
  readonly countedMs: number;
  /** The number of the ledger that granted the lease; 0: none yet. A lost ledger restarts with a new number. */
  readonly epoch: number;
  /** The last known level of the pool. */
  readonly poolLevel: number;
  /** The held amounts, and the level (0: no rate). */
  readonly heldCapacity: number;
  readonly heldRate: number;
  readonly level: number;
  /** Spent tokens that the provider may not have counted yet: they take capacity beside the level. */
  readonly uncounted: number;
  /** Tokens returned with this claim. */
  readonly returned: number;
  /** Tokens spent without a grant while the store was not available, or owed when the member leaves. */
  readonly debt: number;
  readonly wantCapacity: number;
  readonly wantRate: number;
  /** Requested tokens beyond its level. */
  readonly wantTokens: number;
  /** The total need of the first waiting request; 0: none waits. */
  readonly first: number;
  /** The scheduling class of the first waiting request: lower values first. */
  readonly rank: number;
  /** It has started a request since its last claim, so waiting members take precedence. */
  readonly hasStarted: boolean;
  /** Absent: the limit is not a budget. */
  readonly spending?: LeaseSpending;
}

export interface LeaseGrant {
  readonly epoch: number;
  /** The level of the pool; of a limit without refill, what no member holds. */
  readonly poolLevel: number;
  /** The amounts held from now on. */
  readonly capacity: number;
  readonly rate: number;
  /** Granted tokens. */
  readonly tokens: number;
  /** The fair share, which applies while others wait. */
  readonly fairCapacity: number;
  readonly fairRate: number;
  /** Another member waits for what this one holds beyond its fair share. */
  readonly isContested: boolean;
  /** When the pool can grant the first need, in milliseconds from now; -1: unknown, or its own refill applies. */
  readonly readyInMs: number;
  /** It waits for what other members hold, which have to be notified. */
  readonly lacks: boolean;
  /** Absent: the limit is not a budget. */
  readonly elsewhere?: SpendingElsewhere;
}

/** The usage of a window is reported in this many parts of equal length. */
export const USAGE_SLOTS = 10;

/** A member may have started calls for this long after its last exchange, in milliseconds. */
export const LAST_STARTS_MS = 2_000;

/** A limit that refills more slowly than this, in milliseconds, is leased in slices: what a member that dies holds is lost for as long. */
export const SLICED_MIN_MS = 120_000;

export function isSliced({ capacity, rate, countedMs }: Pick<LeaseClaim, 'capacity' | 'rate' | 'countedMs'>): boolean {
  return rate > 0 ? capacity > rate * SLICED_MIN_MS : countedMs > SLICED_MIN_MS;
}

/** A resource with a lease of this process. */
export interface Leasable {
  readonly id: string;
  /** Its last grant met its need, so it is exchanged again at once when it runs short. */
  readonly isSupplied?: boolean;
  /**
   * The current claim, whose returned amounts are released at once; null: none needed. `members`: the size of the fleet; 0: not known yet. `isCalled`: another
   * member is short of it.
   */
  claim(now: Instant, members: number, isCalled: boolean): LeaseClaim | null;
  /** Applies the grant for the last claim. True: a waiting request may be able to start. */
  granted(now: Instant, grant: LeaseGrant): boolean;
  /** The store is not available: from now on it uses an equal share of the limit among `members`. */
  detach(now: Instant, members: number): void;
  /** The final claim of an instance that leaves, which returns everything. */
  leave(now: Instant): LeaseClaim;
}
