/**
 * Counts the places in the queue by class and client, and chooses the request to evict when the queue is full.
 *
 * Each class has a share of the places that no other class can take: its `queue.minShare`; the highest class has the rest. A lower class
 * that exceeds its share loses a place to a higher one. Within a class, the client with the most places loses one to a client with fewer,
 * namely one of its requests with the latest deadlines.
 */
import type { Capacity } from '../../core/resource.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { SchedulingClass } from '../../core/request.ts';
import { HoldersByCount } from './holders-by-count.ts';
import type { Entry, PlaceHolder, RequestGroup } from './target-set.ts';
import type { Applicant } from './types.ts';

interface ClassPlaces<T extends Capacity, A extends Applicant<T>> {
  taken: number;
  /** By client; only clients with waiting requests. */
  readonly holders: Map<string, PlaceHolder<T, A>>;
  readonly byCount: HoldersByCount<PlaceHolder<T, A>>;
}

export class QueuePlaces<T extends Capacity, A extends Applicant<T>> {
  readonly #classes: readonly ClassPlaces<T, A>[] = SCHEDULING_CLASSES.map(() => ({
    taken: 0,
    holders: new Map<string, PlaceHolder<T, A>>(),
    byCount: new HoldersByCount<PlaceHolder<T, A>>(),
  }));

  /** The number of waiting requests of this class. */
  taken(rank: number): number {
    return this.#classes[rank]!.taken;
  }

  add(entry: Entry<T, A>): void {
    const { group } = entry;
    const each = this.#classes[group.rank]!;
    let { holder } = group;
    if (holder === null || holder.bucket === null) {
      holder = each.holders.get(group.client) ?? { client: group.client, groups: [], bucket: null, before: null, after: null };
      if (holder.bucket === null) each.holders.set(group.client, holder);
      listGroup(holder, group);
    }
    each.taken++;
    each.byCount.add(holder);
  }

  remove(entry: Entry<T, A>): void {
    const { group } = entry;
    const each = this.#classes[group.rank]!;
    const holder = group.holder ?? each.holders.get(group.client)!;
    each.taken--;
    if (!each.byCount.remove(holder)) each.holders.delete(holder.client);
  }

  /**
   * The request to evict for a new one while all `places` are taken; null: none. `shares`: the minimum share of each class, by rank,
   * without the highest.
   */
  evictionFor(rank: number, client: string, shares: readonly number[], places: number): Entry<T, A> | null {
    const isOver = (each: number): boolean => this.taken(each) > shareOf(each, shares) * places;
    for (let lower = this.#classes.length - 1; lower > rank; lower--) if (isOver(lower)) return this.#lastOfLargest(lower);
    if (this.taken(rank) + 1 <= shareOf(rank, shares) * places) {
      for (let higher = rank - 1; higher >= 0; higher--) if (isOver(higher)) return this.#lastOfLargest(higher);
    }
    const own = this.#classes[rank]!;
    const held = own.holders.get(client)?.bucket?.count ?? 0;
    return own.byCount.most > held + 1 ? this.#lastOfLargest(rank) : null;
  }

  #lastOfLargest(rank: number): Entry<T, A> | null {
    const { groups } = this.#classes[rank]!.byCount.largest!;
    for (let group = groups.at(-1); group !== undefined; group = groups.at(-1)) {
      if (group.entries.size > 0) return group.entries.at(group.entries.size - 1)!;
      group.holder = null;
      groups.pop();
    }
    return null;
  }
}

/** Adds a group to the list of its client. Empty groups are dropped when the list is twice as long as the number of requests. */
export function listGroup<T extends Capacity, A extends Applicant<T>>(holder: PlaceHolder<T, A>, group: RequestGroup<T, A>): void {
  if (group.holder === holder) return;
  group.holder = holder;
  holder.groups.push(group);
  if (holder.groups.length <= 8 + 2 * (holder.bucket?.count ?? 0)) return;
  for (const each of holder.groups) if (each.entries.size === 0 && each !== group) each.holder = null;
  holder.groups = holder.groups.filter((each) => each.holder !== null);
}

function shareOf(rank: number, shares: readonly number[]): number {
  return rank > 0 ? shares[rank]! : 1 - shares.reduce((sum, share, each) => (each === 0 ? sum : sum + share), 0);
}

/** Minimum shares by rank. */
export function sharesOf(minShare: Readonly<Partial<Record<SchedulingClass, number>>>): number[] {
  return SCHEDULING_CLASSES.map((name) => minShare[name] ?? 0);
}
