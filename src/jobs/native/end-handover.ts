import type { HandoverEnd } from '../../store/jobs/job-store.ts';
import type { JobHost } from '../host.ts';
import { saved } from '../saved.ts';

/** Queues all items that a batch holds. Ends early if `closing` is aborted. */
export async function endHandover(host: JobHost, closing: AbortSignal, end: HandoverEnd): Promise<void> {
  for (let ended = 1; ended > 0;) ended = (await saved(host, closing, () => host.store.endHandover(end))) ?? 0;
}
