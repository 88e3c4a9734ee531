/** What instances that share a store say to each other: parts of limits, and messages. */
import type { LeaseClaim, LeaseGrant } from '../core/lease.ts';

export interface ExchangeReply {
  /** Live members of the fleet, this one included, in the same order everywhere. */
  readonly members: readonly string[];
  /** One for each claim. */
  readonly grants: readonly LeaseGrant[];
}

export interface SharedStoreListener {
  /** A message of another member. */
  message(text: string): void;
  /** The connection stands, or is lost. */
  linked(isLinked: boolean): void;
}

/** Calls may be slow or hang; a call that fails rejects with a `StoreFailure`. It connects again by itself. */
export interface SharedStore {
  /** This instance among the members; null: it was never connected. */
  readonly member: string | null;
  /** It stands for a gateway that holds all limits while it is alive. */
  readonly isGateway?: boolean;
  /** Begins to connect; called once. */
  open(listener: SharedStoreListener): void;
  /** Says that this member lives, and exchanges parts of limits: one atomic step. */
  exchange(claims: readonly LeaseClaim[]): Promise<ExchangeReply>;
  /** To all other members, at once; lost while there is no connection. */
  publish(text: string): void;
  /** Leaves the fleet: what the claims hold goes back. Never rejects, and always ends. */
  leave(claims: readonly LeaseClaim[]): Promise<void>;
}

/** A member that says nothing for so long is dead, in milliseconds: its parts go to the others. */
export const MEMBER_SILENCE_MS = 5_000;
