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
import { HoldersByCount } from './holders-by-count.ts';
import type { Entry, PlaceHolder } from './lane.ts';
import type { Applicant } from './types.ts';

interface ClassPlaces<T extends Capacity, A extends Applicant<T>> {
  taken: number;
  /** By client; who holds nothing is not in it. */
  readonly holders: Map<string, PlaceHolder<T, A>>;
  readonly byCount: HoldersByCount<PlaceHolder<T, A>>;
}

export class QueuePlaces<T extends Capacity, A extends Applicant<T>> {
  readonly #classes: readonly ClassPlaces<T, A>[] = SCHEDULING_CLASSES.map(() => ({
    taken: 0,
    holders: new Map<string, PlaceHolder<T, A>>(),
    byCount: new HoldersByCount<PlaceHolder<T, A>>(),
  }));

  /** How many of this class wait. */
  taken(rank: number): number {
    return this.#classes[rank]!.taken;
  }

  add(entry: Entry<T, A>): void {
    const { queue } = entry;
    const each = this.#classes[queue.rank]!;
    let { holder } = queue;
    if (holder === null || holder.bucket === null) {
      holder = each.holders.get(queue.client) ?? { client: queue.client, newest: null, bucket: null, before: null, after: null };
      queue.holder = holder;
      if (holder.bucket === null) each.holders.set(queue.client, holder);
    }
    each.taken++;
    each.byCount.add(holder);
    entry.older = holder.newest;
    if (holder.newest !== null) holder.newest.newer = entry;
    holder.newest = entry;
  }

  remove(entry: Entry<T, A>): void {
    const { queue, older, newer } = entry;
    const each = this.#classes[queue.rank]!;
    const holder = queue.holder ?? each.holders.get(queue.client)!;
    if (older !== null) older.newer = newer;
    if (newer === null) holder.newest = older;
    else newer.older = older;
    entry.older = entry.newer = null;
    each.taken--;
    if (!each.byCount.remove(holder)) each.holders.delete(holder.client);
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
    const held = own.holders.get(client)?.bucket?.count ?? 0;
    return own.byCount.most > held + 1 ? this.#lastOfLargest(rank) : null;
  }

  #lastOfLargest(rank: number): Entry<T, A> {
    return this.#classes[rank]!.byCount.largest!.newest!;
  }
}

function shareOf(rank: number, shares: readonly number[]): number {
  return rank > 0 ? shares[rank]! : 1 - shares.reduce((sum, share, each) => (each === 0 ? sum : sum + share), 0);
}

/** Minimum shares by rank. */
export function sharesOf(minShare: Readonly<Partial<Record<SchedulingClass, number>>>): number[] {
  return SCHEDULING_CLASSES.map((name) => minShare[name] ?? 0);
}
