/**
 * Persistent state: small values in named collections, behind an interface that hides connections.
 *
 * Writes return immediately and never throw; they are coalesced by key and committed in groups. Reads see every earlier
 * write of this process, durable or not. A store that is slow, hung, broken or missing never stops the gateway: it is
 * `degraded`, continues in memory within its limits, warns once, and recovers in the background.
 *
 * Jobs and files (`store.jobs`) have their own calls, which resolve when durable: a checkpoint must be on disk before a dispatch. Leases,
 * membership and messages between instances are `store.shared`, absent in a driver for a single machine.
 */

import type { StoreFault } from './store-fault.ts';
import type { CachedResponses } from './cached-responses.ts';
import type { FlightStore } from './flight-store.ts';
import type { JobStore } from './jobs/job-store.ts';
import type { SharedStore } from './shared-store.ts';

export const STORE_KINDS = ['memory', 'sqlite', 'redis'] as const;
export type StoreKind = (typeof STORE_KINDS)[number];

export type StoreHealth =
  | { readonly state: 'ok' }
  | {
      readonly state: 'degraded';
      readonly fault: StoreFault;
      readonly message: string;
      /** Milliseconds since the Unix epoch. */
      readonly sinceMs: number;
    };

/** Counts of writes, monotonic. */
export interface StoreCounters {
  /** Accepted changes. */
  readonly accepted: number;
  /** Accepted changes that were merged into a pending one of the same key. */
  readonly coalesced: number;
  /** Keys whose pending or stored state was dropped at a limit, oldest first. */
  readonly dropped: number;
  /** Refused changes: not JSON, too large, an invalid expiry, or after `close`. */
  readonly refused: number;
}

/** Instants in milliseconds since the Unix epoch, both included. */
export interface ExpiryRange {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Scan {
  readonly entries: ReadonlyMap<string, unknown>;
  /** False: the store could not be read, and these are unsaved writes of this process only. */
  readonly isComplete: boolean;
}

export interface WriteOptions {
  /** Expiry in milliseconds since the Unix epoch. Default: never. */
  readonly expiresAtMs?: number;
}

/** Limits of every driver. Beyond `entriesMax` or `charactersMax` the entry written longest ago is dropped and counted. */
export interface StoreLimits {
  /** Entries held in memory: all of them in the memory driver, those not yet durable in the others. Default 50,000. */
  readonly entriesMax: number;
  /** Their keys and JSON together, in UTF-16 units. Default 32 Mi. */
  readonly charactersMax: number;
  /** Maximum JSON length of one value, in UTF-16 units. A longer one is refused. Default 256 Ki. */
  readonly valueCharactersMax: number;
  /** Maximum length of a key, in UTF-16 units. A longer one is refused. Default 1,024. */
  readonly keyCharactersMax: number;
}

export const STORE_LIMITS: StoreLimits = {
  entriesMax: 50_000,
  charactersMax: 32 * 1024 * 1024,
  valueCharactersMax: 256 * 1024,
  keyCharactersMax: 1_024,
};

/** Called once for each lasting fault, with a message for an operator; `detail` is for the log line. */
export type WarningListener = (message: string, detail: Readonly<Record<string, unknown>>) => void;

export interface Store {
  readonly kind: StoreKind;
  readonly health: StoreHealth;
  readonly counters: StoreCounters;
  /** Cached responses; null if this store does not persist them. */
  readonly responses: CachedResponses | null;
  /** Files and batches; null if this store has none. Uses a separate connection; calls report faults. */
  readonly jobs: JobStore | null;
  /** False: `jobs` is empty; asked without its connection. Absent: not known. Never rejects. */
  hasJobs?(): Promise<boolean>;
  /** State shared by several instances; absent in a driver for a single machine. */
  readonly shared?: SharedStore;
  /** Responses in flight at other instances; absent in a driver for a single machine. Closed by its user. */
  readonly flights?: FlightStore;
  /** Checks from time to time whether the opened file was replaced; its owner calls it every second. */
  check?(): void;
  /** Calls the listener at every change between `ok` and `degraded`, and of the fault. Returns a function that removes it. */
  onHealthChange(listener: (health: StoreHealth) => void): () => void;

  /**
   * The value; undefined if missing, expired or unreadable. Never rejects, and settles within the driver's read timeout. While `degraded`
   * it returns only unsaved writes of this process. The caller validates the shape: another version may have written it.
   */
  get(collection: string, key: string): Promise<unknown>;
  /** All entries of the collection that have not expired, unordered; otherwise as `get`. For startup, not for every request. */
  getAll(collection: string): Promise<ReadonlyMap<string, unknown>>;

  /** The entries of the collection that expire within the range and have not expired; otherwise as `get`. May be many: they are parsed in slices. */
  scan(collection: string, within: ExpiryRange): Promise<Scan>;

  /** Sets the value: a JSON value, serialized now. The last write wins. Without `expiresAtMs` it does not expire. */
  put(collection: string, key: string, value: unknown, options?: WriteOptions): void;
  delete(collection: string, key: string): void;
  /**
   * Sets a value in place of other entries, in one step with any other process: if all of `replaced` are stored with these values, they are
   * deleted and the value is set. Otherwise nothing changes. Not queued: false too while the store is `degraded`, or while a write to one of
   * the keys is pending. Never rejects.
   */
  replace(collection: string, key: string, value: unknown, options: WriteOptions, replaced: ReadonlyMap<string, unknown>): Promise<boolean>;

  /** Saves pending writes now. True if all writes before the call are durable. Bounded in time; never rejects. */
  flush(): Promise<boolean>;
  /** Saves what it can and closes. Bounded in time; never rejects. Later writes are refused, later reads find nothing. */
  close(): Promise<void>;
}
