/**
 * Counts the places of the queue by class and client, and chooses the request that gives one up when the queue is full.
 *
 * Each class has a share of the places that no other class can take: its `queue.minShare`, and the highest class what the others
 * leave. Beyond their shares a lower class makes room for a higher one. Inside a class the client that holds most makes room for one
 * that holds fewer. Of that client one of those that are due last gives way.
 */
import type { Capacity } from '../../core/resource.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { SchedulingClass } from '../../core/request.ts';
import { HoldersByCount } from './holders-by-count.ts';
import type { Entry, PlaceHolder, Queue } from './lane.ts';
import type { Applicant } from './types.ts';

interface ClassPlaces<T extends Capacity, A extends Applicant<T>> {
  taken: number;
  /** By client; only clients with requests in the queue. */
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
      holder = each.holders.get(queue.client) ?? { client: queue.client, queues: [], bucket: null, before: null, after: null };
      if (holder.bucket === null) each.holders.set(queue.client, holder);
      listQueue(holder, queue);
    }
    each.taken++;
    each.byCount.add(holder);
  }

  remove(entry: Entry<T, A>): void {
    const { queue } = entry;
    const each = this.#classes[queue.rank]!;
    const holder = queue.holder ?? each.holders.get(queue.client)!;
    each.taken--;
    if (!each.byCount.remove(holder)) each.holders.delete(holder.client);
  }

  /**
   * The request whose place a newcomer gets while all `places` are taken; null: none. `shares`: the part of them that a class keeps, by rank,
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

  #lastOfLargest(rank: number): Entry<T, A> | null {
    const { queues } = this.#classes[rank]!.byCount.largest!;
    for (let queue = queues.at(-1); queue !== undefined; queue = queues.at(-1)) {
      if (queue.entries.size > 0) return queue.entries.at(queue.entries.size - 1)!;
      queue.holder = null;
      queues.pop();
    }
    return null;
  }
}

/** A queue in which a request of this client waits. Those that are empty are dropped when they are as many as the requests. */
export function listQueue<T extends Capacity, A extends Applicant<T>>(holder: PlaceHolder<T, A>, queue: Queue<T, A>): void {
  if (queue.holder === holder) return;
  queue.holder = holder;
  holder.queues.push(queue);
  if (holder.queues.length <= 8 + 2 * (holder.bucket?.count ?? 0)) return;
  for (const each of holder.queues) if (each.entries.size === 0 && each !== queue) each.holder = null;
  holder.queues = holder.queues.filter((each) => each.holder !== null);
}

function shareOf(rank: number, shares: readonly number[]): number {
  return rank > 0 ? shares[rank]! : 1 - shares.reduce((sum, share, each) => (each === 0 ? sum : sum + share), 0);
}

/** Minimum shares by rank. */
export function sharesOf(minShare: Readonly<Partial<Record<SchedulingClass, number>>>): number[] {
  return SCHEDULING_CLASSES.map((name) => minShare[name] ?? 0);
}
