/**
 * Where those who wait stand: which queue is in which lines, what it keeps from others, and when it is to be looked at by itself.
 * Keeps the books of the scheduler; decides nothing.
 */
import type { Instant } from '../../core/clock.ts';
import type { Capacity } from '../../core/resource.ts';
import { isClosed, isHoldable, opensForSome } from './evaluate.ts';
import type { Look } from './evaluate.ts';
import { IndexedHeap } from './indexed-heap.ts';
import { Queue } from './lane.ts';
import { listQueue } from './queue-places.ts';
import type { Entry, Line, Place, Spot } from './lane.ts';
import type { Applicant } from './types.ts';

/**
 * So many are looked past in one line, or out of one queue, where what keeps each of them back concerns it alone. Beyond that
 * those behind wait until one of these moves.
 */
export const LOOK_PAST_MAX = 16;

export class WaitingRoom<T extends Capacity, A extends Applicant<T>> {
  /** Lines in which somebody stands. */
  readonly active: Line<T, A>[] = [];
  /** Queues with somebody in them, by when they are to be looked at by themselves: the end of a wait, a patience, a backoff. */
  readonly looks = new IndexedHeap<Queue<T, A>>((queue, index) => (queue.lookIndex = index));
  /** Queues that are to be looked at whatever the lines do. */
  readonly fresh: Queue<T, A>[] = [];
  /** Some line is to be looked along. */
  isAnyOpen = false;
  #look = 0;

  /** Puts a queue into the lines that its first request waits in, and out of all others. */
  stand(now: Instant, queue: Queue<T, A>, look: Look<T, A>): void {
    const { waitsFor } = look;
    const mark = ++this.#look;
    if (queue.holdsOn !== waitsFor) for (const spot of queue.spots) spot.holds = false;
    queue.holdsOn = waitsFor;
    for (let i = 0; i < look.lines.length; i++) {
      const spot = this.#spot(queue, look.lines[i]!, mark);
      spot.place = look.places[i]!;
      spot.opensAt = look.opensAt[i]!;
    }
    if (waitsFor !== null) this.#hold(now, queue, waitsFor, mark);
    for (let i = queue.spots.length - 1; i >= 0; i--) {
      const spot = queue.spots[i]!;
      if (spot.look === mark) continue;
      this.#leave(spot);
      queue.spots[i] = queue.spots.at(-1)!;
      queue.spots.pop();
    }
    for (const { line, opensAt } of queue.spots) if (opensAt > now) line.wakeAt = Math.min(line.wakeAt, opensAt);
    queue.isLooked = true;
    this.#lookNotBefore(queue, look.wakeAt);
    if (waitsFor !== null) this.keep(queue);
  }

  /** What it lacks on the target that it waits for, or others keep from it, it keeps until it starts there or waits for another. */
  #hold(now: Instant, queue: Queue<T, A>, { target, lines }: Place<T, A>, mark: number): void {
    const need = queue.entries.peek()!.applicant.needOn(target);
    for (const line of lines) {
      if (!isHoldable(line.resource)) continue;
      const known = spotIn(queue, line);
      const isHeld = line.holder !== null && line.holder.queue !== queue;
      if (known?.holds !== true && !isHeld && !isClosed(line.resource, now, need)) continue;
      const spot = this.#spot(queue, line, mark);
      spot.holds = true;
      if (spot !== known) spot.opensAt = line.earliest(now, need, queue.rank, queue.entries.peekKey());
    }
  }

  /** Those behind it may not take what it holds. */
  keep(queue: Queue<T, A>): void {
    for (const spot of queue.spots) {
      if (!spot.holds) continue;
      const holder = spot.line.holder;
      if (holder === null || spot.line.goesBefore(spot, holder.queue.entries.peek()!)) spot.line.holder = spot;
    }
  }

  #spot(queue: Queue<T, A>, line: Line<T, A>, mark: number): Spot<T, A> {
    let spot = spotIn(queue, line);
    if (spot === undefined) {
      spot = line.enter(queue);
      queue.spots.push(spot);
      if (line.index < 0) {
        line.index = this.active.push(line) - 1;
        line.wakeAt = Infinity;
      }
    }
    spot.look = mark;
    return spot;
  }

  #leave(spot: Spot<T, A>): void {
    const { line } = spot;
    line.leave(spot);
    if (line.length > 0) return this.#openLine(line);
    const last = this.active.pop()!;
    if (last !== line) this.active[(last.index = line.index)] = last;
    line.index = -1;
    line.isOpen = false;
  }

  #openLine(line: Line<T, A>): void {
    line.isOpen = true;
    this.isAnyOpen = true;
  }

  /** Something of its own keeps it back where another of its queue might start: those behind it are looked at too. */
  setApart(now: Instant, entry: Entry<T, A>, look: Look<T, A>): boolean {
    const { queue } = entry;
    if (queue.apartFrom !== null || queue.apart >= LOOK_PAST_MAX || look.ownBlocked) return false;
    if (!look.isBarred && !opensForSome(queue.lane, now)) return false;
    queue.apart++;
    queue.entries.remove(entry.orderIndex);
    const isExpiring = entry.expiryIndex >= 0 ? 1 : 0;
    queue.expiring -= isExpiring;
    entry.queue = new Queue<T, A>(queue.lane, queue.rank, queue.client, queue);
    entry.queue.expiring = isExpiring;
    for (const { line } of queue.flows) line.flow(entry.queue);
    entry.queue.entries.push(entry, entry.deadline, entry.sequence);
    if (queue.holder !== null) listQueue(queue.holder, entry.queue);
    this.headChanged(queue);
    this.stand(now, entry.queue, look);
    return true;
  }

  /** Somebody else is first in the queue, or nobody. */
  headChanged(queue: Queue<T, A>): void {
    queue.isLooked = false;
    queue.holdsOn = null;
    if (queue.entries.size > 0) {
      for (const spot of queue.spots) {
        spot.holds = false;
        spot.line.rekey(spot);
        this.#openLine(spot.line);
      }
      this.#lookNotBefore(queue, Infinity);
      if (queue.lane.single === null || queue.spots.length === 0) this.lookAfresh(queue);
      return;
    }
    for (const spot of queue.spots) this.#leave(spot);
    for (const { flow } of queue.flows) flow.uses--;
    queue.spots.length = queue.flows.length = 0;
    if (queue.lookIndex >= 0) this.looks.remove(queue.lookIndex);
    if (queue.apartFrom === null) return;
    queue.apartFrom.apart--;
    if (queue.apartFrom.entries.size > 0) this.lookAfresh(queue.apartFrom);
  }

  /** To be looked at in this poll, or in the next one. */
  lookAfresh(queue: Queue<T, A>): void {
    queue.isLooked = false;
    this.#lookNotBefore(queue, Infinity);
    if (queue.isFresh) return;
    queue.isFresh = true;
    this.fresh.push(queue);
  }

  /** The first of every queue, and those behind it where it leaves. Costs as much as there are queues. */
  lookAtAll(): void {
    for (const queue of Array.from(this.looks.items())) this.lookAfresh(queue);
  }

  /** Sets the time at which a queue is looked at by itself: then, or when the wait of its first request ends. */
  #lookNotBefore(queue: Queue<T, A>, at: Instant): void {
    const { entries, expiring } = queue;
    const until = expiring > 0 && entries.peek()!.expiryIndex >= 0 ? at : Math.min(at, entries.peekKey());
    if (queue.lookIndex < 0) this.looks.push(queue, until, 0);
    else this.looks.update(queue.lookIndex, until, 0);
  }
}

function spotIn<T extends Capacity, A extends Applicant<T>>({ spots }: Queue<T, A>, line: Line<T, A>): Spot<T, A> | undefined {
  for (const spot of spots) if (spot.line === line) return spot;
  return undefined;
}
