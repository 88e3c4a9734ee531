/** The waiting requests by class and targets, for status pages. */
import type { Instant } from '../../core/clock.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Capacity } from '../../core/resource.ts';
import type { IndexedHeap } from './indexed-heap.ts';
import type { Entry, TargetSet, RequestGroup } from './target-set.ts';
import type { Applicant } from './types.ts';

/** With more groups than this (one per client, class and route) only this many are counted. */
const GROUPS_MAX = 10_000;

export interface WaitingGroup<T extends Capacity, A extends Applicant<T>> {
  readonly class: SchedulingClass;
  readonly waiting: number;
  /** The request with the earliest deadline, its arrival, and the end of its wait. */
  readonly first: A;
  readonly since: Instant;
  readonly waitUntil: Instant;
  /** When a new request like it would start, at the current rate of starts; null: unknown. */
  readonly newcomerAt: Instant | null;
}

export interface Survey<T extends Capacity, A extends Applicant<T>> {
  /** Largest first. */
  readonly groups: readonly WaitingGroup<T, A>[];
  /** The number of waiting requests in none of these groups. */
  readonly others: number;
}

interface CountedGroup<T extends Capacity, A extends Applicant<T>> {
  waiting: number;
  first: Entry<T, A>;
}

/** Its cost is bounded by `GROUPS_MAX` and `groupsMax`, not by the number of waiting requests. */
export function surveyOf<T extends Capacity, A extends Applicant<T>>(
  queued: IndexedHeap<RequestGroup<T, A>>,
  waiting: number,
  groupsMax: number,
  newcomerAt: (entry: Entry<T, A>) => Instant | null,
): Survey<T, A> {
  let others = waiting;
  const groups = largestGroups(queued, groupsMax).map(({ waiting: count, first }) => {
    others -= count;
    const { applicant, since, waitUntil, group } = first;
    const schedulingClass = SCHEDULING_CLASSES[group.rank]!;
    return { class: schedulingClass, waiting: count, first: applicant, since, waitUntil, newcomerAt: newcomerAt(first) };
  });
  return { groups, others };
}

/** The largest groups, each with its earliest deadline. */
function largestGroups<T extends Capacity, A extends Applicant<T>>(
  queued: IndexedHeap<RequestGroup<T, A>>,
  groupsMax: number,
): CountedGroup<T, A>[] {
  const found = new Map<TargetSet<T, A>, CountedGroup<T, A>[]>();
  for (let i = 0; i < Math.min(queued.size, GROUPS_MAX); i++) {
    const { targetSet, rank, entries } = queued.at(i)!;
    const first = entries.peek()!;
    let byRank = found.get(targetSet);
    if (byRank === undefined) found.set(targetSet, (byRank = []));
    const counted = byRank[rank];
    if (counted === undefined) byRank[rank] = { waiting: entries.size, first };
    else {
      counted.waiting += entries.size;
      if (first.deadline < counted.first.deadline) counted.first = first;
    }
  }
  const all = [...found.values()].flatMap((byRank) => byRank.filter((counted) => counted !== undefined));
  return all.toSorted((a, b) => b.waiting - a.waiting).slice(0, groupsMax);
}
