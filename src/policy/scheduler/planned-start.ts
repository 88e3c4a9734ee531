/** Where each who waits is counted on to start, and of what that takes: what those who come after it are judged by. */
import type { Instant } from '../../core/clock.ts';
import type { Capacity } from '../../core/resource.ts';
import type { Evaluation } from './evaluate.ts';
import type { Entry, Candidate } from './target-set.ts';
import { bucketOf } from './backlog.ts';
import type { Applicant } from './types.ts';

/** Among so many of the first in a queue one is looked for to change places with. */
const SWAP_SEARCH_MAX = 21;

/**
 * It is counted on to take what is scarcest of the target on which it will start soonest. Of what it will use besides there is enough,
 * or it comes to that too late to be in anybody's way.
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

/** `sign` -1 takes the promise back. */
export function countPlan<T extends Capacity, A extends Applicant<T>>(now: Instant, entry: Entry<T, A>, sign: 1 | -1): void {
  const { plannedQueue, plannedOn } = entry;
  if (plannedQueue !== null) plannedQueue.addToBacklog(now, entry, entry.applicant.needOn(plannedOn!.target), sign);
}

/** If it started elsewhere than it was counted on: one of those behind it, who was counted on there, is now counted on its place. */
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
