import type { Clock } from '../../core/clock.ts';
import type { SharedStore } from '../shared-store.ts';
import type { Store, StoreLimits, WarningListener } from '../store.ts';
import type { StoreTiming } from '../store-timing.ts';
import { openWriteBehindStore } from '../write-behind.ts';
import { createSqliteJobs } from './sqlite-jobs.ts';
import { createWorkerBackend } from './worker-backend.ts';

export interface SqliteStoreOptions {
  readonly clock: Clock;
  readonly onWarning: WarningListener;
  /** False: no warning if another process uses the file, for one that sends no requests. Default: true. */
  readonly warnsOfSharing?: boolean;
  /** Default: `STORE_LIMITS`. */
  readonly limits?: Partial<StoreLimits>;
  /** Default: `STORE_TIMING`. */
  readonly timing?: Partial<StoreTiming>;
  /** The worker's file. Default: the real one; tests replace it. */
  readonly workerUrl?: URL;
  /** As of `OpenStoreOptions`. */
  readonly shared?: SharedStore;
}

const SHARED =
  'each counts limits, breakers and idempotency keys separately, so that together they exceed the limits, and each overwrites what the other saves; give each its own file, or run one instance';

/**
 * State in a SQLite file. `path`: a file in a folder that exists (the file is created), or SQLite's `file:` URI.
 * Never rejects: a file that can't be used gives a degraded store.
 */
export function openSqliteStore(path: string, options: SqliteStoreOptions): Promise<Store> {
  const { clock, onWarning, warnsOfSharing = true, workerUrl } = options;
  const onShared = (): void => void (warnsOfSharing && onWarning(`another process also uses the store sqlite:${path}: ${SHARED}`, {}));
  const backend = createWorkerBackend({ path, clock, onShared, ...(workerUrl && { workerUrl }) });
  const jobs = createSqliteJobs(path, createWorkerBackend({ path, clock, ...(workerUrl && { workerUrl }) }), clock);
  return openWriteBehindStore(backend, { ...options, kind: 'sqlite', cachesResponses: true, name: `the store sqlite:${path}`, jobs });
}
