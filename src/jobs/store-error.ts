import { BreakwaterError } from '../core/errors.ts';
import { StoreFailure } from '../store/backend.ts';

const RETRY_MS = 5_000;

/** The outcome of a call on the store, or an error for the caller that says why files and batches can't be had now. */
export async function asStoreError<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof StoreFailure)) throw error;
    const message = `files and batches are not available now: the store is ${WORDS[error.fault] ?? 'not usable'} (${error.message})`;
    throw new BreakwaterError('store_unavailable', message, { retryAfterMs: RETRY_MS, cause: error });
  }
}

const WORDS: Readonly<Partial<Record<StoreFailure['fault'], string>>> = {
  full: 'full',
  read_only: 'read-only',
  corrupt: 'damaged',
  locked: 'locked by another process',
  timeout: 'too slow',
  foreign: 'a database of another program',
  newer_version: 'of a newer version',
};
