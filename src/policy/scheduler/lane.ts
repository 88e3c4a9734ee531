import type { Instant } from '../../core/clock.ts';
import type { Capacity, Resource } from '../../core/resource.ts';
import { IndexedHeap } from './indexed-heap.ts';
import type { Applicant } from './types.ts';

/** One waiting applicant with its places in the queues. */
export interface Entry<T extends Capacity, A extends Applicant<T>> {
  readonly applicant: A;
  /** Index in SCHEDULING_CLASSES; lower goes first. */
  rank: number;
  readonly since: Instant;
  /** Arrival order, for ties. */
  readonly sequence: number;
  lane: Lane<T, A>;
  queue: ClientQueue<T, A> | null;
  orderIndex: number;
  expiryIndex: number;
  /** What it keeps from those behind it; only grows while it waits, so that it can't starve between two resources. */
  holds: Set<Resource> | null;
}

export function isDueBefore<T extends Capacity, A extends Applicant<T>>(a: Entry<T, A>, b: Entry<T, A>): boolean {
  if (a.applicant.deadline !== b.applicant.deadline) return a.applicant.deadline < b.applicant.deadline;
  return a.sequence < b.sequence;
}

/** One client's waiting requests of one class in one lane, earliest deadline first. */
export interface ClientQueue<T extends Capacity, A extends Applicant<T>> {
  readonly client: string;
  readonly entries: IndexedHeap<Entry<T, A>>;
  /** The virtual time at which its next request starts: what it has used so far, in tokens. */
  virtualTime: number;
  index: number;
}

/** The clients of one class in one lane, the one that has used least first. */
export class ClassQueue<T extends Capacity, A extends Applicant<T>> {
  readonly #clients = new Map<string, ClientQueue<T, A>>();
  readonly #order = new IndexedHeap<ClientQueue<T, A>>(
    (a, b) => a.virtualTime < b.virtualTime,
    (queue, index) => (queue.index = index),
  );
  #virtualTime = 0;

  get isEmpty(): boolean {
    return this.#clients.size === 0;
  }

  head(): Entry<T, A> | undefined {
    return this.#order.peek()?.entries.peek();
  }

  add(entry: Entry<T, A>): void {
    const client = entry.applicant.client;
    let queue = this.#clients.get(client);
    if (queue === undefined) {
      const entries = new IndexedHeap<Entry<T, A>>(isDueBefore, (e, index) => (e.orderIndex = index));
      queue = { client, entries, virtualTime: this.#virtualTime, index: -1 };
      this.#clients.set(client, queue);
      queue.entries.push(entry);
      this.#order.push(queue);
    } else {
      queue.entries.push(entry);
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
  }

  /** Takes the head out because it starts; its client is charged `tokens`. */
  start(entry: Entry<T, A>, tokens: number): void {
    const queue = entry.queue!;
    this.#virtualTime = Math.max(this.#virtualTime, queue.virtualTime);
    queue.virtualTime += Math.max(1, tokens);
    if (queue.index >= 0) this.#order.update(queue.index);
    this.remove(entry);
  }

  /** Puts the first client aside for this pass because only its own limits hold it back. */
  setAside(): ClientQueue<T, A> {
    return this.#order.pop()!;
  }

  putBack(queue: ClientQueue<T, A>): void {
    if (queue.entries.size > 0) this.#order.push(queue);
  }
}

/** All that wait for the same targets. */
export interface Lane<T extends Capacity, A extends Applicant<T>> {
  readonly tiers: Applicant<T>['tiers'];
  /** By rank. */
  readonly classes: readonly ClassQueue<T, A>[];
  size: number;
}
