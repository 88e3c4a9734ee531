/**
 * Who holds the places of the queue, and who gives one up when it is full.
 *
 * Each class has a share of the places that no other class can take: its `queue.minShare`, and the highest class what the others
 * leave. Beyond their shares a lower class makes room for a higher one. Inside a class the client that holds most makes room for one
 * that holds fewer. Of that client the request that came last gives way: it has waited least.
 */
import type { Capacity } from '../../core/resource.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { SchedulingClass } from '../../core/request.ts';
import { IndexedHeap } from './indexed-heap.ts';
import type { Entry, PlaceHolder } from './lane.ts';
import type { Applicant } from './types.ts';

interface ClassPlaces<T extends Capacity, A extends Applicant<T>> {
  taken: number;
  readonly holders: Map<string, PlaceHolder<T, A>>;
  /** The one that holds most first. */
  readonly byCount: IndexedHeap<PlaceHolder<T, A>>;
}

export class QueuePlaces<T extends Capacity, A extends Applicant<T>> {
  readonly #classes: readonly ClassPlaces<T, A>[] = SCHEDULING_CLASSES.map(() => ({
    taken: 0,
    holders: new Map<string, PlaceHolder<T, A>>(),
    byCount: new IndexedHeap<PlaceHolder<T, A>>((holder, index) => (holder.index = index)),
  }));

  /** How many of this class wait. */
  taken(rank: number): number {
    return this.#classes[rank]!.taken;
  }

  add(entry: Entry<T, A>): void {
    const { rank, client } = entry.queue;
    const each = this.#classes[rank]!;
    each.taken++;
    let holder = each.holders.get(client);
    if (holder === undefined) {
      holder = { client, count: 0, newest: null, index: -1 };
      each.holders.set(client, holder);
      each.byCount.push(holder, 0, 0);
    }
    holder.count++;
    entry.holder = holder;
    entry.older = holder.newest;
    if (holder.newest !== null) holder.newest.newer = entry;
    holder.newest = entry;
    each.byCount.update(holder.index, -holder.count, 0);
  }

  remove(entry: Entry<T, A>): void {
    const { holder, older, newer } = entry;
    const each = this.#classes[entry.queue.rank]!;
    each.taken--;
    if (older !== null) older.newer = newer;
    if (newer === null) holder!.newest = older;
    else newer.older = older;
    entry.holder = entry.older = entry.newer = null;
    if (--holder!.count > 0) return each.byCount.update(holder!.index, -holder!.count, 0);
    each.byCount.remove(holder!.index);
    each.holders.delete(holder!.client);
  }

  /**
   * Whose place a newcomer gets while all `places` are taken; null: nobody's. `shares`: the part of them that a class keeps, by rank,
   * the highest apart.
   */
  givesWay(rank: number, client: string, shares: readonly number[], places: number): Entry<T, A> | null {
    const isOver = (each: number): boolean => this.taken(each) > shareOf(each, shares) * places;
    for (let lower = this.#classes.length - 1; lower > rank; lower--) if (isOver(lower)) return this.#lastOfLargest(lower);
    if (this.taken(rank) + 1 <= shareOf(rank, shares) * places) {
      for (let higher = rank - 1; higher >= 0; higher--) if (isOver(higher)) return this.#lastOfLargest(higher);
    }
    const own = this.#classes[rank]!;
    const held = own.holders.get(client)?.count ?? 0;
    return (own.byCount.peek()?.count ?? 0) > held + 1 ? this.#lastOfLargest(rank) : null;
  }

  #lastOfLargest(rank: number): Entry<T, A> {
    return this.#classes[rank]!.byCount.peek()!.newest!;
  }
}

function shareOf(rank: number, shares: readonly number[]): number {
  return rank > 0 ? shares[rank]! : 1 - shares.reduce((sum, share, each) => (each === 0 ? sum : sum + share), 0);
}

/** Minimum shares by rank. */
export function sharesOf(minShare: Readonly<Partial<Record<SchedulingClass, number>>>): number[] {
  return SCHEDULING_CLASSES.map((name) => minShare[name] ?? 0);
}
