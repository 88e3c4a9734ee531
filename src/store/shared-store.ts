/** Communication between instances that share a store: shares of limits, and messages. */
import type { LeaseClaim, LeaseGrant } from '../core/lease.ts';

export interface ExchangeReply {
  /** Live members of the fleet, this one included, in the same order on every instance. */
  readonly members: readonly string[];
  /** One for each claim. */
  readonly grants: readonly LeaseGrant[];
}

export interface SharedStoreListener {
  /** A message from another member. */
  message(text: string): void;
  /** The connection was made or lost. */
  linked(isLinked: boolean): void;
}

export interface SharedFault {
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
}

/** Calls may be slow or hang; a failed call rejects with a `StoreFailure`. Reconnects by itself. */
export interface SharedStore {
  /** This instance's member id; null if it was never connected. */
  readonly member: string | null;
  /** Why there is no connection, or why messages fail on one that is open. Absent or null: neither. */
  readonly fault?: SharedFault | null;
  /** It stands for a gateway that holds all limits while it is alive. */
  readonly isGateway?: boolean;
  /** Starts to connect; called once. */
  open(listener: SharedStoreListener): void;
  /** Atomically marks this member alive and exchanges shares of limits. */
  exchange(claims: readonly LeaseClaim[]): Promise<ExchangeReply>;
  /** Sends to all other members immediately; dropped without a connection, or without the rights for messages. */
  publish(text: string): void;
  /** Leaves the fleet and returns what the claims hold. Never rejects; bounded in time. */
  leave(claims: readonly LeaseClaim[]): Promise<void>;
}

/** A member silent for this long is dead, in milliseconds; its shares are redistributed. */
export const MEMBER_SILENCE_MS = 5_000;
