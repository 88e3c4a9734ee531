/**
 * What outlives a process: small state in named collections, behind a contract that shows no connection.
 *
 * Writes return at once and never throw; they are coalesced by key and committed in groups. Reads see every earlier
 * write of this process, durable or not. A store that is slow, frozen, broken or gone never stops the gateway: it is
 * `degraded`, goes on in memory within its limits, warns once, and heals by itself in the background.
 *
 * Jobs and files (`store.jobs`) write through calls of their own that resolve when durable: a checkpoint has to be on disk before a
 * dispatch. Leases, membership and messages of many instances are `store.shared`, absent where a driver serves one machine only.
 */

import type { StoreFault } from './store-fault.ts';
import type { AnswerStore } from './answer-store.ts';
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

/** What became of the writes so far. Counts only grow. */
export interface StoreCounters {
  /** Changes taken in. */
  readonly accepted: number;
  /** Of these, changes that were merged into one already waiting for the same key. */
  readonly coalesced: number;
  /** Keys whose waiting or stored state was thrown away at a limit, the oldest first. */
  readonly dropped: number;
  /** Changes not taken in: no JSON, too large, not a number, or after `close`. */
  readonly refused: number;
}

export interface WriteOptions {
  /** Milliseconds since the Unix epoch from which the entry is gone. Default: never; for `increment`: what the entry has. */
  readonly expiresAtMs?: number;
}

/** Limits of every driver. Beyond `entriesMax` or `charactersMax` the entry written longest ago is dropped and counted. */
export interface StoreLimits {
  /** Entries held in memory: all of them in the memory driver, those not yet durable in the others. Default 50,000. */
  readonly entriesMax: number;
  /** Their keys and JSON together, in UTF-16 units. Default 32 Mi. */
  readonly charactersMax: number;
  /** JSON of one value, in UTF-16 units. A larger one is refused. Default 256 Ki. */
  readonly valueCharactersMax: number;
  /** A key, in UTF-16 units. A longer one is refused. Default 1,024. */
  readonly keyCharactersMax: number;
}

export const STORE_LIMITS: StoreLimits = {
  entriesMax: 50_000,
  charactersMax: 32 * 1024 * 1024,
  valueCharactersMax: 256 * 1024,
  keyCharactersMax: 1_024,
};

/** Told once for each fault that lasts, in words for an operator; `detail` is for the log line. */
export type WarningListener = (message: string, detail: Readonly<Record<string, unknown>>) => void;

export interface Store {
  readonly kind: StoreKind;
  readonly health: StoreHealth;
  readonly counters: StoreCounters;
  /** Answers that were kept; null: this store does not keep them, as they would end with the process anyway. */
  readonly answers: AnswerStore | null;
  /** Files and batches; null: this store keeps none. Its own connection, whose faults are told by its calls. */
  readonly jobs: JobStore | null;
  /** What several instances share through it; absent: a driver of one machine. */
  readonly shared?: SharedStore;
  /** Looks, now and then, whether what lies under the store is still what was opened: called every second by its owner. */
  check?(): void;
  /** Hears every change between `ok` and `degraded`, and of the fault. Returns how to stop hearing. */
  onHealthChange(listener: (health: StoreHealth) => void): () => void;

  /**
   * The value, or undefined: none, expired, or not to be had now. Never rejects, and always ends within the driver's
   * read timeout. While `degraded` only what this process wrote and could not yet save is seen. The shape is the
   * caller's to check: another version may have written it.
   */
  get(collection: string, key: string): Promise<unknown>;
  /** Every live entry of the collection by key, in no order; as `get` otherwise. Meant for the start, not for every request. */
  getAll(collection: string): Promise<ReadonlyMap<string, unknown>>;

  /** Sets the value: anything that JSON can carry, taken as it is now. The last write wins. Without `expiresAtMs` it stays for good. */
  put(collection: string, key: string, value: unknown, options?: WriteOptions): void;
  /**
   * Adds each delta to the field of that name, which starts at 0; `get` gives the object. Each increment counts exactly
   * once, crashes of the driver included, and adds up over processes that share the store.
   */
  increment(collection: string, key: string, deltas: Readonly<Record<string, number>>, options?: WriteOptions): void;
  delete(collection: string, key: string): void;

  /** Saves what waits now instead of soon. True: all that was written before the call is durable. Bounded; never rejects. */
  flush(): Promise<boolean>;
  /** Saves what it can and lets go. Always ends, within a bound; never rejects. Later writes are refused, later reads find nothing. */
  close(): Promise<void>;
}
