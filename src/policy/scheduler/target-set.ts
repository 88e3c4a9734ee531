import type { Instant } from '../../core/clock.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { Capacity, Need, Resource } from '../../core/resource.ts';
import { IndexedHeap } from './indexed-heap.ts';
import type { CountedHolder } from './holders-by-count.ts';
import type { ClientBacklog } from './backlog.ts';
import type { SessionAccount, SessionAccounts } from './session-accounts.ts';
import type { Applicant } from './types.ts';

/** The rank of the lowest class. */
export const JOBS = SCHEDULING_CLASSES.indexOf('job');

/** One waiting applicant and its positions in the heaps. */
export interface Entry<T extends Capacity, A extends Applicant<T>> {
  readonly applicant: A;
  /** The key it is ordered by; earlier than the applicant's after `raise`. */
  deadline: Instant;
  waitUntil: Instant;
  readonly since: Instant;
  /** Arrival order, for ties. */
  readonly sequence: number;
  group: RequestGroup<T, A>;
  /** Handle in its group; -1: it does not wait. */
  orderIndex: number;
  /** Handle in the expiry heap; -1: its wait ends with its deadline. */
  expiryIndex: number;
  /** The target on which it is expected to start, and the queue whose backlog counts it; null: none. */
  plannedOn: Candidate<T, A> | null;
  plannedQueue: ResourceQueue<T, A> | null;
  /** The bucket of its deadline (`backlog.ts`). */
  bucket: number;
}

/** The queue places of one client in one class (`queue-places.ts`). */
export interface PlaceHolder<T extends Capacity, A extends Applicant<T>> extends CountedHolder<PlaceHolder<T, A>> {
  readonly client: string;
  /** The groups of its requests, each once; some may be empty. */
  groups: RequestGroup<T, A>[];
}

/** One target of the set, and the queues of its resources in their order. */
export interface Candidate<T extends Capacity, A extends Applicant<T>> {
  readonly target: T;
  readonly queues: readonly ResourceQueue<T, A>[];
}

/** The position of a group in the queue of one resource. */
export interface QueuePosition<T extends Capacity, A extends Applicant<T>> {
  readonly group: RequestGroup<T, A>;
  readonly queue: ResourceQueue<T, A>;
  readonly flow: Flow<T, A>;
  readonly session: SessionAccount<QueuePosition<T, A>>;
  /** The target that the resource blocks for it; null: several. */
  candidate: Candidate<T, A> | null;
  /** When the resource opens for its first request without a settlement; `now` or before: unknown. */
  opensAt: Instant;
  /** Its first request will use this resource, so requests behind it may not take it. */
  holds: boolean;
  /** Skipped in this poll. */
  isSkipped: boolean;
  /** The number of the evaluation that set this position last. */
  mark: number;
  index: number;
}

/** The initial state of a position. */
export const UNPLACED = { candidate: null, opensAt: -1, holds: false, isSkipped: false, mark: 0, index: -1 } as const;

/** The accounts of a group's client and session in one queue. */
export interface QueueAccounts<T extends Capacity, A extends Applicant<T>> {
  readonly queue: ResourceQueue<T, A>;
  readonly flow: Flow<T, A>;
  readonly session: SessionAccount<QueuePosition<T, A>>;
}

/** One client in one class of a queue. */
export interface Flow<T extends Capacity, A extends Applicant<T>> extends ClientBacklog {
  readonly client: string;
  /** The amount it has used so far, in tokens; the smallest goes first. */
  virtualTime: number;
  readonly sessions: SessionAccounts<QueuePosition<T, A>>;
  /** Its first group. */
  first: QueuePosition<T, A> | null;
  /** Its other groups; null: there have been none. */
  others: IndexedHeap<QueuePosition<T, A>> | null;
  /** The number of groups that refer to it; while there are any it is not dropped. */
  uses: number;
  index: number;
  urgencyIndex: number;
}

/** The traffic that all queues share. */
export interface Traffic {
  /** The last arrival of a request that is not a job. */
  interactiveAt: Instant;
}

/** The queue of one resource (`resource-queue.ts`). */
export interface ResourceQueue<T extends Capacity, A extends Applicant<T>> {
  readonly resource: Resource;
  /** Groups in it. */
  readonly length: number;
  /** Index in the list of active queues; -1: it is empty. */
  index: number;
  /** When the resource opens for the first request without a settlement. */
  wakeAt: Instant;
  /** The first position that holds the resource against requests behind it; set by the last poll. */
  holder: QueuePosition<T, A> | null;
  /** A request in it may be able to start, so it is served in this poll. */
  isOpen: boolean;
  /** Skipped in this poll, and restored after it. */
  readonly skipped: readonly QueuePosition<T, A>[];
  front(): QueuePosition<T, A> | null;
  servingRank(rank: number): number;
  precedes(position: QueuePosition<T, A>, entry: Entry<T, A>): boolean;
  enter(group: RequestGroup<T, A>): QueuePosition<T, A>;
  leave(position: QueuePosition<T, A>): void;
  rekey(position: QueuePosition<T, A>): void;
  skip(position: QueuePosition<T, A>): void;
  restoreSkipped(): void;
  groups(): Iterable<RequestGroup<T, A>>;
  recordStart(now: Instant, group: RequestGroup<T, A>, need: Need, shares: readonly number[]): void;
  earliest(now: Instant, need: Need, rank: number, deadline: Instant): Instant;
  addToBacklog(now: Instant, entry: Entry<T, A>, need: Need, sign: 1 | -1): void;
  expectedAt(now: Instant, entry: Entry<T, A>, need: Need, shares: readonly number[], least: boolean): Instant;
  /** The usual time between two starts while the resource is short, in milliseconds; null: unknown. */
  gapMs(now: Instant, need: Need): number | null;
}

/**
 * The requests of one class, client and session for the same targets, ordered by deadline. Only the first one is evaluated. A request that
 * is blocked by something specific to it (its size, its patience, its backoff) is isolated: it moves to a group of its own, so that those
 * behind it are evaluated too.
 */
export class RequestGroup<T extends Capacity, A extends Applicant<T>> {
  readonly targetSet: TargetSet<T, A>;
  readonly rank: number;
  readonly client: string;
  readonly session: string;
  readonly isSide: boolean;
  /** The group from which its only request was isolated; null: an ordinary group. */
  readonly isolatedFrom: RequestGroup<T, A> | null;
  readonly entries = new IndexedHeap<Entry<T, A>>(setOrderIndex);
  readonly positions: QueuePosition<T, A>[] = [];
  /** The accounts of its client and session in each queue that has counted it. */
  readonly flows: QueueAccounts<T, A>[] = [];
  /** The number of its requests in the expiry heap. */
  expiring = 0;
  /** The order by deadline may differ from the order in which waits end, so every wait is in the expiry heap. */
  watchesAll = false;
  /** The number of waiting requests that were isolated from it. */
  isolated = 0;
  /** The target whose capacity its first request holds. */
  holdsOn: Candidate<T, A> | null = null;
  /** Its first request has been evaluated, and its positions are up to date. */
  isEvaluated = false;
  /** It is evaluated in this poll, or in the next one. */
  isDue = false;
  /** Handle in the heap of rechecks. */
  recheckIndex = -1;
  /** The places of its client, while the group is in their list; null: it is not. */
  holder: PlaceHolder<T, A> | null = null;

  constructor(targetSet: TargetSet<T, A>, rank: number, of: GroupOwner, isolatedFrom: RequestGroup<T, A> | null = null) {
    this.targetSet = targetSet;
    this.rank = rank;
    this.client = of.client;
    this.session = of.session ?? '';
    this.isSide = of.isSide;
    this.isolatedFrom = isolatedFrom;
  }

  /** Undefined: the queue has not counted it. */
  accountsIn(queue: ResourceQueue<T, A>): QueueAccounts<T, A> | undefined {
    for (const accounts of this.flows) if (accounts.queue === queue) return accounts;
    return undefined;
  }
}

/** The client and session that a group belongs to. */
export type GroupOwner = Pick<Applicant<Capacity>, 'client' | 'session' | 'isSide'>;

/** The most empty groups that are kept. */
const IDLE_GROUPS_MAX = 64;

/** All requests that wait for the same targets. */
export class TargetSet<T extends Capacity, A extends Applicant<T>> {
  /** By tier. */
  readonly tiers: readonly (readonly Candidate<T, A>[])[];
  readonly single: Candidate<T, A> | null;
  /** By rank and whether the client's own limits apply; then by client and session. */
  readonly #groups: Map<string, RequestGroup<T, A>>[] = [];

  constructor(tiers: readonly (readonly Candidate<T, A>[])[]) {
    this.tiers = tiers;
    this.single = tiers.length === 1 && tiers[0]!.length === 1 ? tiers[0]![0]! : null;
    for (let i = 0; i < 2 * SCHEDULING_CLASSES.length; i++) this.#groups.push(new Map());
  }

  /** First attempts are subject to the limits of their client, later ones are not, so that they do not wait behind first ones. */
  group(rank: number, applicant: A): RequestGroup<T, A> {
    const index = 2 * rank + (applicant.own.length > 0 ? 1 : 0);
    const groups = this.#groups[index]!;
    const { client, session, isSide } = applicant;
    const owner = session === null && !isSide ? client : `${client}\n${isSide ? '-' : '+'}${session ?? ''}`;
    let group = groups.get(owner);
    if (group === undefined) {
      group = new RequestGroup<T, A>(this, rank, applicant);
      groups.set(owner, group);
      if (groups.size >= IDLE_GROUPS_MAX && Number.isInteger(Math.log2(groups.size))) this.#dropIdle(index, group);
    }
    return group;
  }

  #dropIdle(index: number, wanted: RequestGroup<T, A>): void {
    for (const [owner, group] of this.#groups[index]!)
      if (group !== wanted && group.entries.size === 0 && group.isolated === 0) this.#groups[index]!.delete(owner);
  }
}

function setOrderIndex(entry: { orderIndex: number }, index: number): void {
  entry.orderIndex = index;
}
