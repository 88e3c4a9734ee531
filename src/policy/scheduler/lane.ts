import type { Instant } from '../../core/clock.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { Capacity } from '../../core/resource.ts';
import { IndexedHeap } from './indexed-heap.ts';
import type { Flow, Line, Spot } from './line.ts';
import type { Applicant } from './types.ts';

/** One waiting applicant with its places in the queues. */
export interface Entry<T extends Capacity, A extends Applicant<T>> {
  readonly applicant: A;
  /** What it is ordered by; sooner than the applicant's once it was raised. */
  deadline: Instant;
  waitUntil: Instant;
  readonly since: Instant;
  /** Arrival order, for ties. */
  readonly sequence: number;
  queue: Queue<T, A>;
  /** Place in its queue; -1: it doesn't wait. */
  orderIndex: number;
  /** Place among those whose wait ends apart from their deadline; -1: with the deadline. */
  expiryIndex: number;
  /** On which target it is counted on to start, and of what of it that is taken into account; null: of nothing. */
  promisedOn: Place<T, A> | null;
  promisedOf: Line<T, A> | null;
  /** Where its deadline is counted (`promises.ts`). */
  bucket: number;
}

/** One target of a lane with the lines of its resources, in their order. */
export interface Place<T extends Capacity, A extends Applicant<T>> {
  readonly target: T;
  readonly lines: readonly Line<T, A>[];
}

/**
 * What waits in lines: the requests of one class and one client for the same targets, earliest deadline first. Only its first one is
 * looked at. One that is kept back by something of its own (its size, its patience, its backoff) gets a queue for itself, so
 * that those behind it are looked at too.
 */
export class Queue<T extends Capacity, A extends Applicant<T>> {
  readonly lane: Lane<T, A>;
  readonly rank: number;
  readonly client: string;
  /** The queue out of which its only request was set apart; null: it is no such queue. */
  readonly apartFrom: Queue<T, A> | null;
  readonly entries = new IndexedHeap<Entry<T, A>>(setOrderIndex);
  readonly spots: Spot<T, A>[] = [];
  /** Its client's account in each line that has counted it. */
  readonly flows: { readonly line: Line<T, A>; readonly flow: Flow<T, A> }[] = [];
  /** How many in it have a wait that ends apart from their deadline. */
  expiring = 0;
  /** How many were set apart out of it and still wait. */
  apart = 0;
  /** The target whose capacity its first request keeps from those behind it. */
  holdsOn: Place<T, A> | null = null;
  /** Its first request has been looked at, and the spots are its. */
  isLooked = false;
  /** It is going to be looked at, whatever the lines do. */
  isFresh = false;
  /** Place among the queues that are to be looked at by themselves at some time. */
  lookIndex = -1;

  constructor(lane: Lane<T, A>, rank: number, client: string, apartFrom: Queue<T, A> | null = null) {
    this.lane = lane;
    this.rank = rank;
    this.client = client;
    this.apartFrom = apartFrom;
  }
}

/** Below this many, queues in which nobody waits are kept for whoever comes next. */
const IDLE_QUEUES_MAX = 64;

/** All that wait for the same targets. */
export class Lane<T extends Capacity, A extends Applicant<T>> {
  /** By tier. */
  readonly tiers: readonly (readonly Place<T, A>[])[];
  readonly single: Place<T, A> | null;
  /** By rank and whether the client's own limits are asked; by client. */
  readonly #queues: Map<string, Queue<T, A>>[] = [];

  constructor(tiers: readonly (readonly Place<T, A>[])[]) {
    this.tiers = tiers;
    this.single = tiers.length === 1 && tiers[0]!.length === 1 ? tiers[0]![0]! : null;
    for (let i = 0; i < 2 * SCHEDULING_CLASSES.length; i++) this.#queues.push(new Map());
  }

  /** Later attempts take nothing of their client's limits, so they don't wait behind first ones, which those may hold back. */
  queue(rank: number, applicant: A): Queue<T, A> {
    const index = 2 * rank + (applicant.own.length > 0 ? 1 : 0);
    const queues = this.#queues[index]!;
    let queue = queues.get(applicant.client);
    if (queue === undefined) {
      queue = new Queue<T, A>(this, rank, applicant.client);
      queues.set(applicant.client, queue);
      if (queues.size >= IDLE_QUEUES_MAX && Number.isInteger(Math.log2(queues.size))) this.#forgetIdle(index, queue);
    }
    return queue;
  }

  /** Makes the table anew: one from which much was deleted keeps its old forms alive. */
  #forgetIdle(index: number, wanted: Queue<T, A>): void {
    const kept = [...this.#queues[index]!].filter(([, queue]) => queue === wanted || queue.entries.size > 0 || queue.apart > 0);
    if (kept.length < this.#queues[index]!.size) this.#queues[index] = new Map(kept);
  }
}

function setOrderIndex(entry: { orderIndex: number }, index: number): void {
  entry.orderIndex = index;
}
