/** Where each waiting request is expected to start, and which backlog counts it: newcomers are judged by these. */
import type { Instant } from '../../core/clock.ts';
import type { Capacity } from '../../core/resource.ts';
import type { Evaluation } from './evaluate.ts';
import type { Entry, Candidate } from './target-set.ts';
import { bucketOf } from './backlog.ts';
import type { Applicant } from './types.ts';

/** The most entries of a group that are searched for a swap. */
const SWAP_SEARCH_MAX = 21;

/**
 * Counts a request in the backlog of the scarcest resource of the target on which it will start soonest. Its other resources are
 * plentiful, or open before that one.
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

/** `sign` -1 removes it. */
export function countPlan<T extends Capacity, A extends Applicant<T>>(now: Instant, entry: Entry<T, A>, sign: 1 | -1): void {
  const { plannedQueue, plannedOn } = entry;
  if (plannedQueue !== null) plannedQueue.addToBacklog(now, entry, entry.applicant.needOn(plannedOn!.target), sign);
}

/** After a start on another target than planned: one request of the group that was planned on this target takes over the plan. */
export function swapPlans<T extends Capacity, A extends Applicant<T>>(now: Instant, entry: Entry<T, A>, candidate: Candidate<T, A>): void {
  const { group, plannedOn, plannedQueue } = entry;
  if (plannedQueue === null || plannedOn === candidate) return;
  for (let i = 0; i < SWAP_SEARCH_MAX; i++) {
    const other = group.entries.at(i);
    if (other === undefined) return;
    if (other.plannedOn !== candidate) continue;
    countPlan(now, other, -1);
    other.plannedOn = plannedOn;
    other.plannedQueue = plannedQueue;
    countPlan(now, other, 1);
    return;
  }
}
