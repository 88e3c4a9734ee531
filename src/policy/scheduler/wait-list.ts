/**
 * The positions of all waiting groups: the queues that each is in, the resources that it holds, and when it is evaluated again. Bookkeeping
 * for the scheduler; makes no decisions.
 */
import type { Instant } from '../../core/clock.ts';
import type { Capacity } from '../../core/resource.ts';
import { isClosed, isHoldable, opensForSome } from './evaluate.ts';
import type { Evaluation } from './evaluate.ts';
import { IndexedHeap } from './indexed-heap.ts';
import { RequestGroup } from './target-set.ts';
import { listGroup } from './queue-places.ts';
import type { Entry, ResourceQueue, Candidate, QueuePosition } from './target-set.ts';
import type { Applicant } from './types.ts';

/**
 * The most requests that are skipped in one queue, or isolated from one group, because each is blocked by something specific to it. Beyond
 * this, those behind wait until one of them leaves.
 */
export const SKIPPED_MAX = 16;

export class WaitList<T extends Capacity, A extends Applicant<T>> {
  /** Queues that are not empty. */
  readonly active: ResourceQueue<T, A>[] = [];
  /** Groups that are not empty, by when they are evaluated again: the end of a wait, of a patience or of a backoff. */
  readonly rechecks = new IndexedHeap<RequestGroup<T, A>>((group, index) => (group.recheckIndex = index));
  /** Groups to be evaluated regardless of the queues. */
  readonly due: RequestGroup<T, A>[] = [];
  /** Some queue is to be served. */
  isAnyOpen = false;
  #lastMark = 0;

  /** Puts a group into the queues of its evaluation, and removes it from all others. */
  updatePositions(now: Instant, group: RequestGroup<T, A>, evaluation: Evaluation<T, A>): void {
    const { waitsFor } = evaluation;
    const mark = ++this.#lastMark;
    if (group.holdsOn !== waitsFor) for (const position of group.positions) position.holds = false;
    group.holdsOn = waitsFor;
    for (let i = 0; i < evaluation.queues.length; i++) {
      const position = this.#position(group, evaluation.queues[i]!, mark);
      position.candidate = evaluation.candidates[i]!;
      position.opensAt = evaluation.opensAt[i]!;
    }
    if (waitsFor !== null) this.#holdFor(now, group, waitsFor, mark);
    for (let i = group.positions.length - 1; i >= 0; i--) {
      const position = group.positions[i]!;
      if (position.mark === mark) continue;
      this.#leave(position);
      group.positions[i] = group.positions.at(-1)!;
      group.positions.pop();
    }
    for (const { queue, opensAt } of group.positions) if (opensAt > now) queue.wakeAt = Math.min(queue.wakeAt, opensAt);
    group.isEvaluated = true;
    this.#scheduleRecheck(group, evaluation.wakeAt);
    if (waitsFor !== null) this.hold(group);
  }

  /** Holds each resource of its target that it lacks or that others hold, until it starts there or waits for another target. */
  #holdFor(now: Instant, group: RequestGroup<T, A>, { target, queues }: Candidate<T, A>, mark: number): void {
    const need = group.entries.peek()!.applicant.needOn(target);
    for (const queue of queues) {
      if (!isHoldable(queue.resource)) continue;
      const known = positionIn(group, queue);
      const isHeld = queue.holder !== null && queue.holder.group !== group;
      if (known?.holds !== true && !isHeld && !isClosed(queue.resource, now, need)) continue;
      const position = this.#position(group, queue, mark);
      position.holds = true;
      if (position !== known) position.opensAt = queue.earliest(now, need, group.rank, group.entries.peekKey());
    }
  }

  /** Makes the positions of the group the holders of their queues, where they go before the current ones. */
  hold(group: RequestGroup<T, A>): void {
    for (const position of group.positions) {
      if (!position.holds) continue;
      const holder = position.queue.holder;
      if (holder === null || position.queue.precedes(position, holder.group.entries.peek()!)) position.queue.holder = position;
    }
  }

  #position(group: RequestGroup<T, A>, queue: ResourceQueue<T, A>, mark: number): QueuePosition<T, A> {
    let position = positionIn(group, queue);
    if (position === undefined) {
      position = queue.enter(group);
      group.positions.push(position);
      if (queue.index < 0) {
        queue.index = this.active.push(queue) - 1;
        queue.wakeAt = Infinity;
      }
    }
    position.mark = mark;
    return position;
  }

  #leave(position: QueuePosition<T, A>): void {
    const { queue } = position;
    queue.leave(position);
    if (queue.length > 0) return this.#openQueue(queue);
    const last = this.active.pop()!;
    if (last !== queue) this.active[(last.index = queue.index)] = last;
    queue.index = -1;
    queue.isOpen = false;
  }

  #openQueue(queue: ResourceQueue<T, A>): void {
    queue.isOpen = true;
    this.isAnyOpen = true;
  }

  /** Moves a request to a group of its own if it is blocked by something specific to it while another one of its group could start. */
  isolate(now: Instant, entry: Entry<T, A>, evaluation: Evaluation<T, A>): boolean {
    const { group } = entry;
    if (group.isolatedFrom !== null || group.isolated >= SKIPPED_MAX || evaluation.ownBlocked) return false;
    if (!evaluation.isBarred && !opensForSome(group.targetSet, now)) return false;
    group.isolated++;
    group.entries.remove(entry.orderIndex);
    const isExpiring = entry.expiryIndex >= 0 ? 1 : 0;
    group.expiring -= isExpiring;
    entry.group = new RequestGroup<T, A>(group.targetSet, group.rank, entry.applicant, group);
    entry.group.expiring = isExpiring;
    for (const accounts of group.flows) {
      accounts.flow.uses++;
      entry.group.flows.push(accounts);
    }
    entry.group.entries.push(entry, entry.deadline, entry.sequence);
    if (group.holder !== null) listGroup(group.holder, entry.group);
    this.headChanged(group);
    this.updatePositions(now, entry.group, evaluation);
    return true;
  }

  /** The group has another first request, or is empty. */
  headChanged(group: RequestGroup<T, A>): void {
    group.isEvaluated = false;
    group.holdsOn = null;
    if (group.entries.size > 0) {
      for (const position of group.positions) {
        position.holds = false;
        position.queue.rekey(position);
        this.#openQueue(position.queue);
      }
      this.#scheduleRecheck(group, Infinity);
      if (group.targetSet.single === null || group.positions.length === 0) this.recheckNow(group);
      return;
    }
    for (const position of group.positions) this.#leave(position);
    for (const { flow } of group.flows) flow.uses--;
    group.positions.length = group.flows.length = 0;
    if (group.recheckIndex >= 0) this.rechecks.remove(group.recheckIndex);
    if (group.isolatedFrom === null) return;
    group.isolatedFrom.isolated--;
    if (group.isolatedFrom.entries.size > 0) this.recheckNow(group.isolatedFrom);
  }

  /** Schedules an evaluation for this poll, or for the next one. */
  recheckNow(group: RequestGroup<T, A>): void {
    group.isEvaluated = false;
    this.#scheduleRecheck(group, Infinity);
    if (group.isDue) return;
    group.isDue = true;
    this.due.push(group);
  }

  /** Schedules every group. Costs O(groups). */
  recheckAll(): void {
    for (const group of Array.from(this.rechecks.items())) this.recheckNow(group);
  }

  /** Schedules the next evaluation: at this instant, or when the wait of its first request ends. */
  #scheduleRecheck(group: RequestGroup<T, A>, at: Instant): void {
    const { entries, expiring } = group;
    const until = expiring > 0 && entries.peek()!.expiryIndex >= 0 ? at : Math.min(at, entries.peekKey());
    if (group.recheckIndex < 0) this.rechecks.push(group, until, 0);
    else this.rechecks.update(group.recheckIndex, until, 0);
  }
}

function positionIn<T extends Capacity, A extends Applicant<T>>(
  { positions }: RequestGroup<T, A>,
  queue: ResourceQueue<T, A>,
): QueuePosition<T, A> | undefined {
  for (const position of positions) if (position.queue === queue) return position;
  return undefined;
}
