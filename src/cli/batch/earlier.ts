/** Earlier batches of the same requests. */
import { hasEnded, type BatchApi, type BatchObject } from './api.ts';

/** Metadata of a batch of a whole file: the hash of its requests. */
export const SOURCE = 'breakwater_source';
/** Metadata of a batch of failed requests: the batch of the whole file. */
const RETRY_OF = 'breakwater_retry_of';
/** The hash of the requests of that batch. */
export const RETRY_SOURCE = 'breakwater_retry_source';

/** A batch of a whole file, and those that ran its failed requests again. */
export interface Run {
  readonly first: BatchObject;
  /** In the order of their creation, without refused ones. */
  readonly retries: readonly BatchObject[];
}

export interface Earlier {
  /** Null if there is none to continue. */
  readonly run: Run | null;
  /** The most recent batch that a new one would follow, refused ones included. */
  readonly lastId: string | null;
}

export function sourceData(source: string): Readonly<Record<string, string>> {
  return { [SOURCE]: source };
}

export function retryData({ first }: Run): Readonly<Record<string, string>> {
  return { [RETRY_OF]: first.id, [RETRY_SOURCE]: first.metadata?.[SOURCE] ?? '' };
}

/** The batch of the whole file, of a batch of failed requests. */
export function retriedBy({ metadata }: BatchObject): string | undefined {
  return metadata?.[RETRY_OF];
}

/** Its most recent batch; only this one may be open. */
export function lastOf({ first, retries }: Run): BatchObject {
  return retries.at(-1) ?? first;
}

/** The run with the present state of its most recent batch. */
export function withLast({ first, retries }: Run, batch: BatchObject): Run {
  return retries.length === 0 ? { first: batch, retries } : { first, retries: [...retries.slice(0, -1), batch] };
}

/** A batch of the whole file and its retries, refused ones included. */
interface Family {
  readonly first: BatchObject;
  /** In the order of their creation. */
  readonly retries: readonly BatchObject[];
}

/** Those of the same requests, the most recent one first. */
async function* familiesOf(api: BatchApi, source: string): AsyncGenerator<Family> {
  const retriesOf = new Map<string, BatchObject[]>();
  // The newest is listed first, so the retries of a batch are known before it.
  for await (const batch of api.list()) {
    const of = retriedBy(batch);
    if (of !== undefined) retriesOf.set(of, [batch, ...(retriesOf.get(of) ?? [])]);
    if (batch.metadata?.[SOURCE] === source) yield { first: batch, retries: retriesOf.get(batch.id) ?? [] };
  }
}

/**
 * The last run of the same requests that runs, or has succeeded in part. For a retry, if there is none, also the last one in which every
 * request failed, or that expired or was cancelled.
 */
export async function findRun(api: BatchApi, source: string, isRetry: boolean): Promise<Earlier> {
  let lastId: string | null = null;
  let other: Earlier | null = null;
  for await (const { first, retries: all } of familiesOf(api, source)) {
    lastId ??= first.id;
    if (first.status === 'failed') continue;
    const run = { first, retries: all.filter(({ status }) => status !== 'failed') };
    const found = { run, lastId: isRetry ? (all.at(-1) ?? first).id : lastId };
    if (isWorthContinuing(run)) return found;
    other ??= found;
  }
  return isRetry && other !== null ? other : { run: null, lastId };
}

/**
 * The run whose results replace those of this ended one: the same with more batches that have ended, or a later one of the same requests.
 * Null if there is none.
 */
export async function findLater(api: BatchApi, source: string, { first: own, retries: ownRetries }: Run): Promise<Run | null> {
  for await (const { first, retries: all } of familiesOf(api, source)) {
    const run = { first, retries: all.filter((batch) => batch.status !== 'failed' && hasEnded(batch)) };
    if (first.id === own.id) return run.retries.length > ownRetries.length ? run : null;
    if (first.status !== 'failed' && hasEnded(first) && isWorthContinuing(run)) return run;
  }
  return null;
}

/** The last batch does not decide alone: after one that has failed, the successes of those before it are results of the run too. */
function isWorthContinuing({ first, retries }: Run): boolean {
  if (retries.length > 0) return retries.some((batch) => !hasEnded(batch)) || hasSuccess({ first, retries });
  return !['expired', 'cancelled'].includes(first.status) && (first.status !== 'completed' || first.request_counts.completed > 0);
}

export function hasSuccess({ first, retries }: Run): boolean {
  return [first, ...retries].some((batch) => batch.request_counts.completed > 0);
}
