/** Who waits, in groups of one class that want the same targets: for status pages. */
import type { Instant } from '../../core/clock.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Capacity } from '../../core/resource.ts';
import type { IndexedHeap } from './indexed-heap.ts';
import type { Entry, Lane, Queue } from './lane.ts';
import type { Applicant } from './types.ts';

/** With more queues (one for each client, class and route) than this the groups are counted over so many of them only. */
const QUEUES_MAX = 10_000;

export interface WaitingGroup<T extends Capacity, A extends Applicant<T>> {
  readonly class: SchedulingClass;
  readonly waiting: number;
  /** One of those who are first in their queues: the one that is due first, since when it waits, and until when at most. */
  readonly first: A;
  readonly since: Instant;
  readonly waitUntil: Instant;
  /** When one like it that came now would start, at the pace at which others do; null: nobody knows. */
  readonly newcomerAt: Instant | null;
}

export interface Survey<T extends Capacity, A extends Applicant<T>> {
  /** The largest first. */
  readonly groups: readonly WaitingGroup<T, A>[];
  /** Who waits in none of these groups, or in a queue that was not counted. */
  readonly others: number;
}

interface Group<T extends Capacity, A extends Applicant<T>> {
  waiting: number;
  first: Entry<T, A>;
}

/** Its cost is bounded by `QUEUES_MAX` and `groupsMax`, not by how many wait. */
export function surveyOf<T extends Capacity, A extends Applicant<T>>(
  queues: IndexedHeap<Queue<T, A>>,
  waiting: number,
  groupsMax: number,
  newcomerAt: (entry: Entry<T, A>) => Instant | null,
): Survey<T, A> {
  let others = waiting;
  const groups = largestGroups(queues, groupsMax).map(({ waiting: count, first }) => {
    others -= count;
    const { applicant, since, waitUntil, queue } = first;
    const schedulingClass = SCHEDULING_CLASSES[queue.rank]!;
    return { class: schedulingClass, waiting: count, first: applicant, since, waitUntil, newcomerAt: newcomerAt(first) };
  });
  return { groups, others };
}

/** The largest groups, and who is due first in each. */
function largestGroups<T extends Capacity, A extends Applicant<T>>(queues: IndexedHeap<Queue<T, A>>, groupsMax: number): Group<T, A>[] {
  const groups = new Map<Lane<T, A>, Group<T, A>[]>();
  for (let i = 0; i < Math.min(queues.size, QUEUES_MAX); i++) {
    const { lane, rank, entries } = queues.at(i)!;
    const first = entries.peek()!;
    let byRank = groups.get(lane);
    if (byRank === undefined) groups.set(lane, (byRank = []));
    const group = byRank[rank];
    if (group === undefined) byRank[rank] = { waiting: entries.size, first };
    else {
      group.waiting += entries.size;
      if (first.deadline < group.first.deadline) group.first = first;
    }
  }
  const all = [...groups.values()].flatMap((byRank) => byRank.filter((group) => group !== undefined));
  return all.toSorted((a, b) => b.waiting - a.waiting).slice(0, groupsMax);
}
