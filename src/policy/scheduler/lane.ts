import type { Instant } from '../../core/clock.ts';
import type { Capacity, Resource } from '../../core/resource.ts';
import { IndexedHeap } from './indexed-heap.ts';
import type { Applicant } from './types.ts';

/** One waiting applicant with its places in the queues. */
export interface Entry<T extends Capacity, A extends Applicant<T>> {
  readonly applicant: A;
  /** The applicant's, at hand. */
  readonly deadline: Instant;
  /** Index in SCHEDULING_CLASSES; lower goes first. */
  rank: number;
  readonly since: Instant;
  /** Arrival order, for ties. */
  readonly sequence: number;
  lane: Lane<T, A>;
  queue: ClientQueue<T, A> | null;
  orderIndex: number;
  expiryIndex: number;
  /**
   * What it keeps from those behind it, on the one target that it waits for; only grows while it waits for that, so
   * that it can't starve between two resources.
   */
  holds: Set<Resource> | null;
  holdsOn: T | null;
}

export function isDueBefore<T extends Capacity, A extends Applicant<T>>(a: Entry<T, A>, b: Entry<T, A>): boolean {
  if (a.deadline !== b.deadline) return a.deadline < b.deadline;
  return a.sequence < b.sequence;
}

/** One client's waiting requests of one class in one lane, earliest deadline first. */
export interface ClientQueue<T extends Capacity, A extends Applicant<T>> {
  readonly client: string;
  readonly entries: IndexedHeap<Entry<T, A>>;
  /** The virtual time at which its next request starts: what it has used so far, in tokens. */
  virtualTime: number;
  /** Running number in its class, for ties. */
  readonly number: number;
  index: number;
}

/** A lane remembers what so many absent clients have used; beyond it the oldest of them start afresh. */
const ABSENT_CLIENTS_MAX = 1024;

/**
 * The clients of one class in one lane, the one that has used least first (start-time fair queueing). A client that
 * leaves and comes back goes on where it was: else one that asks for a single large thing at a time would never pay.
 */
export class ClassQueue<T extends Capacity, A extends Applicant<T>> {
  readonly #clients = new Map<string, ClientQueue<T, A>>();
  readonly #order = new IndexedHeap<ClientQueue<T, A>>((queue, index) => (queue.index = index));
  /** The virtual time of clients with nothing waiting, where it lies ahead of the class's. */
  readonly #absent = new Map<string, number>();
  #virtualTime = 0;
  #number = 0;

  get isEmpty(): boolean {
    return this.#clients.size === 0;
  }

  head(): Entry<T, A> | undefined {
    return this.#order.peek()?.entries.peek();
  }

  /** `virtualTime`: where its client stood when the entry was set aside; absent: the entry is new. */
  add(entry: Entry<T, A>, virtualTime = this.#virtualTime): void {
    const key = queueKey(entry.applicant);
    let queue = this.#clients.get(key);
    if (queue === undefined) {
      const entries = new IndexedHeap<Entry<T, A>>((e, index) => (e.orderIndex = index));
      queue = {
        client: key,
        entries,
        virtualTime: Math.max(virtualTime, this.#absent.get(key) ?? -Infinity),
        number: this.#number++,
        index: -1,
      };
      this.#absent.delete(key);
      this.#clients.set(key, queue);
      queue.entries.push(entry, entry.deadline, entry.sequence);
      this.#order.push(queue, queue.virtualTime, queue.number);
    } else {
      queue.entries.push(entry, entry.deadline, entry.sequence);
    }
    entry.queue = queue;
  }

  remove(entry: Entry<T, A>): void {
    const queue = entry.queue!;
    queue.entries.removeAt(entry.orderIndex);
    entry.queue = null;
    if (queue.entries.size > 0) return;
    this.#clients.delete(queue.client);
    if (queue.index >= 0) this.#order.removeAt(queue.index);
    if (queue.virtualTime > this.#virtualTime) this.#remember(queue);
  }

  /** Takes the head out because it starts; its client is charged `tokens`. */
  start(entry: Entry<T, A>, tokens: number): void {
    const queue = entry.queue!;
    this.#virtualTime = Math.max(this.#virtualTime, queue.virtualTime);
    queue.virtualTime += Math.max(1, tokens);
    if (queue.index >= 0) this.#order.update(queue.index, queue.virtualTime);
    this.remove(entry);
  }

  /** Takes the head out for this pass; `add` it again with what this returns. */
  setAside(entry: Entry<T, A>): number {
    const { virtualTime } = entry.queue!;
    this.remove(entry);
    return virtualTime;
  }

  /** Puts the first client aside for this pass because only its own limits hold it back. */
  setClientAside(): ClientQueue<T, A> {
    return this.#order.pop()!;
  }

  /** What others started meanwhile is no debt to a client that its own limits held back. */
  putClientBack(queue: ClientQueue<T, A>): void {
    queue.virtualTime = Math.max(queue.virtualTime, this.#virtualTime);
    this.#order.push(queue, queue.virtualTime, queue.number);
  }

  #remember(queue: ClientQueue<T, A>): void {
    this.#absent.set(queue.client, queue.virtualTime);
    if (this.#absent.size <= ABSENT_CLIENTS_MAX) return;
    for (const [key, virtualTime] of this.#absent) if (virtualTime <= this.#virtualTime) this.#absent.delete(key);
    for (const key of this.#absent.keys()) {
      if (this.#absent.size <= ABSENT_CLIENTS_MAX / 2) return;
      this.#absent.delete(key);
    }
  }
}

/** Later attempts no longer take from their client's limits, so they don't wait behind first ones that those hold back. */
function queueKey<T extends Capacity>(applicant: Applicant<T>): string {
  return applicant.own.length === 0 ? applicant.client : `${applicant.client}\u0000own`;
}

/** All that wait for the same targets. */
export interface Lane<T extends Capacity, A extends Applicant<T>> {
  readonly tiers: Applicant<T>['tiers'];
  /** By rank. */
  readonly classes: readonly ClassQueue<T, A>[];
  size: number;
}
