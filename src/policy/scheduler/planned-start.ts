/** Records where each waiting request is expected to start, and which backlog counts it; new requests are checked against these. */
import type { Instant } from '../../core/clock.ts';
import type { Capacity } from '../../core/resource.ts';
import type { Evaluation } from './evaluate.ts';
import type { Entry } from './target-set.ts';
import { bucketOf } from './backlog.ts';
import type { Applicant } from './types.ts';

/**
 * Counts a request in the backlog of the scarcest resource of the target on which it will start first. The other resources of that target
 * are plentiful, or available earlier.
 */
export function planStart<T extends Capacity, A extends Applicant<T>>(
  now: Instant,
  entry: Entry<T, A>,
  evaluation: Evaluation<T, A>,
): void {
  entry.plannedOn = evaluation.soonest;
  entry.plannedQueue = evaluation.scarcest;
  entry.bucket = bucketOf(now, entry.deadline);
  countPlan(now, entry, 1);
}

/** Adds the planned start to the backlog; `sign` -1 removes it. */
export function countPlan<T extends Capacity, A extends Applicant<T>>(now: Instant, entry: Entry<T, A>, sign: 1 | -1): void {
  const { plannedQueue, plannedOn } = entry;
  if (plannedQueue !== null) plannedQueue.addToBacklog(now, entry, entry.applicant.needOn(plannedOn!.target), sign);
}
