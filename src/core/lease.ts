/**
 * A part of a limit that several instances share. What holds a part says what it wants, as a claim, and takes what it is granted; the
 * arithmetic between them is the ledger's (policy/lease/ledger.ts), the exchange the store's.
 */
import type { Instant } from './clock.ts';

/** What a member says of one limit. Amounts are in the limit's own unit, rates in units per millisecond. */
export interface LeaseClaim {
  readonly id: string;
  /** Of the whole limit. */
  readonly capacity: number;
  readonly rate: number;
  /** So long after its end what it held still counts as used, in milliseconds: the provider remembers it. */
  readonly countedMs: number;
  /** The ledger that it took its part from; 0: it has none yet. A ledger that was lost begins anew under another number. */
  readonly epoch: number;
  /** The level of the pool as it knew it last. */
  readonly poolLevel: number;
  /** What it holds, and its level (0 where there is no rate). */
  readonly heldCapacity: number;
  readonly heldRate: number;
  readonly level: number;
  /** Tokens that it gives back with this claim. */
  readonly returned: number;
  /** Tokens that it spent on its own account while the store was away, or owes when it leaves. */
  readonly debt: number;
  readonly wantCapacity: number;
  readonly wantRate: number;
  /** Tokens beyond its level. */
  readonly wantTokens: number;
  /** What the first that waits needs in all; 0: nobody waits. */
  readonly first: number;
  /** The scheduling class of the first that waits: lower goes first. */
  readonly rank: number;
  /** It has started something since its last claim: others that wait go before it. */
  readonly hasStarted: boolean;
}

export interface LeaseGrant {
  readonly epoch: number;
  readonly poolLevel: number;
  /** What it holds from now on. */
  readonly capacity: number;
  readonly rate: number;
  /** Tokens given to it. */
  readonly tokens: number;
  /** The most that it should hold while others wait. */
  readonly fairCapacity: number;
  readonly fairRate: number;
  /** Another member waits for what this one has too much of. */
  readonly isContested: boolean;
  /** When the pool has what its first needs, in milliseconds from now; -1: it has refill of its own, or that is not known. */
  readonly readyInMs: number;
  /** It waits for what others hold: they have to be called. */
  readonly lacks: boolean;
}

/** A resource of which this process holds a part. */
export interface Leasable {
  readonly id: string;
  /** What to say to the ledger now; gives back at once what the claim gives back. Null: there is nothing to say. `members`: of the fleet. */
  claim(now: Instant, members: number): LeaseClaim | null;
  /** The answer to the last claim. True: somebody who waits may be able to start. */
  granted(now: Instant, grant: LeaseGrant): boolean;
  /** The store is away: from now on it has its part of `members`, whatever it held. */
  detach(now: Instant, members: number): void;
  /** The instance leaves: what it claims last gives everything back. */
  leave(now: Instant): LeaseClaim;
}
