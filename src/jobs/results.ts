import type { DoneItem, JobStore } from '../store/jobs/job-store.ts';

/** The size of one read of results, in bytes. */
const PAGE_BYTES = 1024 * 1024;

/** The completed items of a job in order, page by page: the successful ones, the failed ones, or all (null). */
export async function* resultPages(store: JobStore, job: string, succeeded: boolean | null): AsyncGenerator<readonly DoneItem[]> {
  for (let after = -1; ;) {
    const items = await store.readResults(job, succeeded, after, PAGE_BYTES);
    if (items.length === 0) return;
    yield items;
    after = items.at(-1)!.n;
  }
}

/** Ended without another call, although they may have been queued for one after a crash. */
const NOT_SENT_AGAIN: ReadonlySet<string> = new Set(['batch_cancelled', 'batch_canceled', 'batch_expired']);

/** A result line's `breakwater` member, with the comma before it; empty if there is nothing to report. */
export function breakwaterMember({ repeated, facts, error }: DoneItem): string {
  const quality = facts['quality'];
  const isRepeated = repeated > 0 && !NOT_SENT_AGAIN.has(error?.code ?? '');
  if (!isRepeated && quality === undefined) return '';
  return `,"breakwater":${JSON.stringify({ ...(isRepeated && { repeated }), ...(quality !== undefined && { quality }) })}`;
}
