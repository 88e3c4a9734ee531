import type { Job } from '../store/jobs/job-store.ts';
import { waitingReasons } from './lane-holds.ts';
import { handedOver } from './native/native-host.ts';

export interface JobExtensions {
  /** Items at batches of providers. */
  readonly handed_over?: number;
  /** Models whose requests the configuration does not allow at present; `since` in seconds. */
  readonly waiting?: readonly { readonly model: string; readonly code: string; readonly message: string; readonly since: number }[];
}

/** Members of a batch object that the provider's API lacks; undefined: none. */
export function extensionsOf(job: Pick<Job, 'data' | 'state'>): JobExtensions | undefined {
  const reasons = job.state === 'in_progress' ? waitingReasons(job) : [];
  if (reasons.length === 0) return handedOver(job);
  const waiting = reasons.map(({ sinceMs, ...reason }) => ({ ...reason, since: Math.floor(sinceMs / 1000) }));
  return { ...handedOver(job), waiting };
}
