/** The interface of a driver with a connection; `WriteBehindStore` builds a store on it. */
import type { Clock } from '../core/clock.ts';
import type { Change, Row } from './change.ts';
import type { JobCall, JobOutcome } from './jobs/job-call.ts';
import type { ExpiryRange } from './store.ts';
import type { StoreFault } from './store-fault.ts';

export interface KeyedChange {
  readonly collection: string;
  readonly key: string;
  readonly change: Change;
}

/** Changes committed atomically. */
export interface Batch {
  /** Increasing from 1. A batch may be sent again on a new connection; it is applied once. */
  readonly sequence: number;
  readonly changes: readonly KeyedChange[];
}

/** Of one collection: the entry of a key, those that expire within a range, or all. */
export type Selection = string | ExpiryRange | undefined;

export function isSelected(selection: Selection, key: string, { expiresAtMs }: Row): boolean {
  if (typeof selection === 'string') return key === selection;
  return selection === undefined || (expiresAtMs !== null && expiresAtMs >= selection.fromMs && expiresAtMs <= selection.toMs);
}

/** A row that takes the place of others. */
export interface Replacement {
  readonly collection: string;
  readonly key: string;
  readonly row: Row;
  /** The rows to be deleted, with their present texts. */
  readonly replaced: readonly { readonly key: string; readonly text: string }[];
}

/** A page of rows. */
export interface ReadResult {
  readonly rows: ReadonlyMap<string, Row>;
  /** The last batch of this process that these rows include for certain; 0 if none. */
  readonly applied: number;
}

export interface CachedResponseRow {
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly expiresAtMs: number;
}

/** Beyond either limit the oldest responses are deleted. */
export interface CachedResponseBounds {
  readonly rowsMax: number;
  readonly bytesMax: number;
}

/** Cached responses over the same connection. */
export interface CachedResponseConnection {
  put(rows: readonly CachedResponseRow[], bounds: CachedResponseBounds, nowMs: number): Promise<void>;
  get(key: string, nowMs: number): Promise<Uint8Array | null>;
  /** Keys that have not expired, oldest first. */
  keys(nowMs: number): Promise<readonly string[]>;
}

/** Every call may be slow, hang, or reject with a `StoreFailure`; after a rejection the connection is abandoned. */
export interface Connection {
  /** Resolves when the store has been checked and is writable. */
  readonly ready: Promise<void>;
  apply(batch: Batch, nowMs: number): Promise<void>;
  /** The live rows of a collection by key, in pages of some milliseconds each; at least one. */
  read(collection: string, selection: Selection, nowMs: number): AsyncIterable<ReadResult>;
  /** In one step: nothing, or all of it, if the rows to be replaced are as given. */
  replace(replacement: Replacement, nowMs: number): Promise<boolean>;
  /** Rejects if the opened file was replaced. Absent if the backend can't be replaced unnoticed. */
  check?(): Promise<void>;
  /** Absent if the backend stores no responses. */
  readonly responses?: CachedResponseConnection;
  /** Runs a group of calls that are committed together. Absent if the backend stores no jobs. */
  readonly runJobs?: (calls: readonly JobCall[]) => Promise<readonly JobOutcome[]>;
  /** False: there are no files, no jobs, and no remains of them. Absent if that is not known. */
  hasJobs?(): Promise<boolean>;
  /** Closes the connection cleanly. */
  close(): Promise<void>;
  /** Drops the connection immediately, even if it hangs. Pending calls reject. */
  abandon(): void;
}

export interface Backend {
  /** `onLost` is called if the connection fails between calls. */
  connect(onLost: (failure: StoreFailure) => void): Connection;
}

export class StoreFailure extends Error {
  override readonly name = 'StoreFailure';
  readonly fault: StoreFault;

  constructor(fault: StoreFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

export function toStoreFailure(error: unknown): StoreFailure {
  if (error instanceof StoreFailure) return error;
  return new StoreFailure('io_error', error instanceof Error ? error.message : String(error), { cause: error });
}

/** The result of the promise, or a `timeout` failure after `timeoutMs`. */
export function withTimeout<T>(clock: Clock, timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(timeoutMs, () => {
      reject(new StoreFailure('timeout', `${what} took longer than ${timeoutMs} ms`));
    });
    void promise.then(resolve, reject).finally(() => timer.cancel());
  });
}
