import { BreakwaterError } from '../core/errors.ts';
import { StoreFailure } from '../store/backend.ts';
import type { JobLimits } from '../store/jobs/job-store.ts';

const RETRY_MS = 5_000;
const TOO_MANY_RETRY_MS = 60_000;

/** The outcome of a store call; its failures become errors for the caller. */
export async function asStoreError<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof StoreFailure)) throw error;
    const message = `files and batches are unavailable: the store is ${WORDS[error.fault] ?? 'not usable'} (${error.message})`;
    throw new BreakwaterError('store_unavailable', message, { retryAfterMs: RETRY_MS, cause: error });
  }
}

/** The same for paged reads. */
export async function* storeErrors<T>(pages: AsyncGenerator<T>): AsyncGenerator<T> {
  try {
    for (let page = await asStoreError(pages.next()); page.done !== true; page = await asStoreError(pages.next())) yield page.value;
  } finally {
    await pages.return(undefined);
  }
}

/** `createJob` refused a job. */
export function tooManyJobs({ openJobsMax, clientOpenJobsMax = openJobsMax }: JobLimits): BreakwaterError {
  const share = clientOpenJobsMax < openJobsMax ? `, and a client may have ${clientOpenJobsMax} of them` : '';
  const message = `there are too many unfinished batches and background responses: batch.maxOpen is ${openJobsMax}${share}`;
  return new BreakwaterError('queue_full', message, { retryAfterMs: TOO_MANY_RETRY_MS });
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
