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

/** One waiting applicant with its places in the queues. */
export interface Entry<T extends Capacity, A extends Applicant<T>> {
  readonly applicant: A;
  /** What it is ordered by; sooner than the applicant's once it was raised. */
  deadline: Instant;
  waitUntil: Instant;
  readonly since: Instant;
  /** Arrival order, for ties. */
  readonly sequence: number;
  group: RequestGroup<T, A>;
  /** Place in its queue; -1: it doesn't wait. */
  orderIndex: number;
  /** Place among those whose wait ends apart from their deadline; -1: with the deadline. */
  expiryIndex: number;
  /** On which target it is counted on to start, and of what of it that is taken into account; null: of nothing. */
  plannedOn: Candidate<T, A> | null;
  plannedQueue: ResourceQueue<T, A> | null;
  /** Where its deadline is counted (`backlog.ts`). */
  bucket: number;
}

/** The places in the queue of one client in one class (`queue-places.ts`). */
export interface PlaceHolder<T extends Capacity, A extends Applicant<T>> extends CountedHolder<PlaceHolder<T, A>> {
  readonly client: string;
  /** Where its requests wait, each once; some may be empty. */
  groups: RequestGroup<T, A>[];
}

/** One target of a lane with the lines of its resources, in their order. */
export interface Candidate<T extends Capacity, A extends Applicant<T>> {
  readonly target: T;
  readonly queues: readonly ResourceQueue<T, A>[];
}

/** Where a queue stands in one line. */
export interface QueuePosition<T extends Capacity, A extends Applicant<T>> {
  readonly group: RequestGroup<T, A>;
  readonly queue: ResourceQueue<T, A>;
  readonly flow: Flow<T, A>;
  readonly session: SessionAccount<QueuePosition<T, A>>;
  /** On which target it is kept back here; null: on several. */
  candidate: Candidate<T, A> | null;
  /** When the resource opens for its first request, without a settlement; `now` or before: unknown. */
  opensAt: Instant;
  /** Its first request will use what it lacks here, and keeps it from those behind it. */
  holds: boolean;
  /** Passed over in this poll. */
  isSkipped: boolean;
  /** The last look that found it here. */
  mark: number;
  index: number;
}

/** Where a queue that comes to a line is not yet. */
export const UNPLACED = { candidate: null, opensAt: -1, holds: false, isSkipped: false, mark: 0, index: -1 } as const;

/** The accounts of a queue's client and session in one line. */
export interface QueueAccounts<T extends Capacity, A extends Applicant<T>> {
  readonly queue: ResourceQueue<T, A>;
  readonly flow: Flow<T, A>;
  readonly session: SessionAccount<QueuePosition<T, A>>;
}

/** One client's place in one class of a line. */
export interface Flow<T extends Capacity, A extends Applicant<T>> extends ClientBacklog {
  readonly client: string;
  /** What it has used so far, in tokens: the least goes first. */
  virtualTime: number;
  readonly sessions: SessionAccounts<QueuePosition<T, A>>;
  /** Its queue that goes first. */
  first: QueuePosition<T, A> | null;
  /** The others; null: there have been none. */
  others: IndexedHeap<QueuePosition<T, A>> | null;
  /** Queues that know it: while there are any it is not forgotten. */
  uses: number;
  index: number;
  urgencyIndex: number;
}

/** What all lines know of the traffic. */
export interface Traffic {
  /** When somebody asked last who is no job. */
  interactiveAt: Instant;
}

/** The waiting line of one resource, as those who stand in it know it (`resource-queue.ts`). */
export interface ResourceQueue<T extends Capacity, A extends Applicant<T>> {
  readonly resource: Resource;
  /** Queues that stand here. */
  readonly length: number;
  /** Place among the lines in which somebody stands; -1: nobody does. */
  index: number;
  /** When it opens for whoever is first, without a settlement. */
  wakeAt: Instant;
  /** The first who keeps the resource from those behind it; found by the last poll. */
  holder: QueuePosition<T, A> | null;
  /** Somebody here may be able to start: to be looked at in this poll. */
  isOpen: boolean;
  /** Passed over in this poll, to stand here again after it. */
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
  /** How long it usually takes from one start to the next where the resource is short, in milliseconds; null: that is not known. */
  gapMs(now: Instant, need: Need): number | null;
}

/**
 * What waits in lines: the requests of one class, client and session for the same targets, earliest deadline first. Only its first one is
 * looked at. One that is kept back by something of its own (its size, its patience, its backoff) gets a queue for itself, so
 * that those behind it are looked at too.
 */
export class RequestGroup<T extends Capacity, A extends Applicant<T>> {
  readonly targetSet: TargetSet<T, A>;
  readonly rank: number;
  readonly client: string;
  readonly session: string;
  readonly isSide: boolean;
  /** The queue out of which its only request was set apart; null: it is no such queue. */
  readonly isolatedFrom: RequestGroup<T, A> | null;
  readonly entries = new IndexedHeap<Entry<T, A>>(setOrderIndex);
  readonly positions: QueuePosition<T, A>[] = [];
  /** Its client's account, and its session's, in each line that has counted it. */
  readonly flows: QueueAccounts<T, A>[] = [];
  /** How many in it have a wait that ends apart from their deadline. */
  expiring = 0;
  /** Somebody in it may be first beyond its deadline (it was raised), so that everybody's wait is watched apart. */
  watchesAll = false;
  /** How many were set apart out of it and still wait. */
  isolated = 0;
  /** The target whose capacity its first request keeps from those behind it. */
  holdsOn: Candidate<T, A> | null = null;
  /** Its first request has been looked at, and the spots are its. */
  isEvaluated = false;
  /** It is going to be looked at, whatever the lines do. */
  isDue = false;
  /** Place among the queues that are to be looked at by themselves at some time. */
  recheckIndex = -1;
  /** Its client's places in the class, as far as it stands in the list there; null: it doesn't. */
  holder: PlaceHolder<T, A> | null = null;

  constructor(targetSet: TargetSet<T, A>, rank: number, of: GroupOwner, isolatedFrom: RequestGroup<T, A> | null = null) {
    this.targetSet = targetSet;
    this.rank = rank;
    this.client = of.client;
    this.session = of.session ?? '';
    this.isSide = of.isSide;
    this.isolatedFrom = isolatedFrom;
  }

  /** Its accounts in a line; undefined: the line has not counted it. */
  accountsIn(queue: ResourceQueue<T, A>): QueueAccounts<T, A> | undefined {
    for (const accounts of this.flows) if (accounts.queue === queue) return accounts;
    return undefined;
  }
}

/** Whose requests wait in a queue. */
export type GroupOwner = Pick<Applicant<Capacity>, 'client' | 'session' | 'isSide'>;

/** Below this many, queues in which nobody waits are kept for whoever comes next. */
const IDLE_GROUPS_MAX = 64;

/** All that wait for the same targets. */
export class TargetSet<T extends Capacity, A extends Applicant<T>> {
  /** By tier. */
  readonly tiers: readonly (readonly Candidate<T, A>[])[];
  readonly single: Candidate<T, A> | null;
  /** By rank and whether the client's own limits are asked; by client and session. */
  readonly #groups: Map<string, RequestGroup<T, A>>[] = [];

  constructor(tiers: readonly (readonly Candidate<T, A>[])[]) {
    this.tiers = tiers;
    this.single = tiers.length === 1 && tiers[0]!.length === 1 ? tiers[0]![0]! : null;
    for (let i = 0; i < 2 * SCHEDULING_CLASSES.length; i++) this.#groups.push(new Map());
  }

  /** Later attempts take nothing of their client's limits, so they don't wait behind first ones, which those may hold back. */
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

  /** Makes the table anew: one from which much was deleted keeps its old forms alive. */
  #dropIdle(index: number, wanted: RequestGroup<T, A>): void {
    const kept = [...this.#groups[index]!].filter(([, group]) => group === wanted || group.entries.size > 0 || group.isolated > 0);
    if (kept.length < this.#groups[index]!.size) this.#groups[index] = new Map(kept);
  }
}

function setOrderIndex(entry: { orderIndex: number }, index: number): void {
  entry.orderIndex = index;
}
