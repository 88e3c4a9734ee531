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

/** A result line's `breakwater` member, with the comma before it; empty if there is nothing to report. */
export function breakwaterMember({ repeated, facts }: DoneItem): string {
  const quality = facts['quality'];
  if (repeated === 0 && quality === undefined) return '';
  return `,"breakwater":${JSON.stringify({ ...(repeated > 0 && { repeated }), ...(quality !== undefined && { quality }) })}`;
}
