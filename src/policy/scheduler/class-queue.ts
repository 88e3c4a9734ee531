/** One class in the queue of one resource: its clients and their usage, its backlog and its allocation. */
import type { Instant } from '../../core/clock.ts';
import type { Capacity } from '../../core/resource.ts';
import { IndexedHeap } from './indexed-heap.ts';
import type { Flow, QueuePosition } from './target-set.ts';
import { Backlog } from './backlog.ts';
import { SessionAccounts, timeWithSide } from './session-accounts.ts';
import type { Applicant } from './types.ts';

/** Remembered clients without waiting requests; beyond this those at or below the virtual time are dropped first. */
const ABSENT_CLIENTS_MAX = 1024;

export class ClassQueue<T extends Capacity, A extends Applicant<T>> {
  flows = new Map<string, Flow<T, A>>();
  readonly order = new IndexedHeap<Flow<T, A>>(setFlowIndex, arrivedBefore);
  /** The same clients, earliest deadline first. */
  readonly urgency = new IndexedHeap<Flow<T, A>>((flow, index) => (flow.urgencyIndex = index));
  readonly backlog = new Backlog();
  virtualTime = 0;
  /** Groups in the queue. */
  length = 0;
  credit = 0;
  /** The amount allocated to it recently, decaying. */
  allocated = 0;
  allocatedAt: Instant = -Infinity;
  #dropsAt = ABSENT_CLIENTS_MAX;

  flow(client: string): Flow<T, A> {
    let flow = this.flows.get(client);
    if (flow === undefined) {
      if (this.flows.size >= this.#dropsAt) this.#dropAbsent();
      const sessions = new SessionAccounts<QueuePosition<T, A>>();
      flow = {
        client,
        virtualTime: this.virtualTime,
        sessions,
        first: null,
        others: null,
        uses: 0,
        index: -1,
        urgencyIndex: -1,
        backlog: 0,
      };
      this.flows.set(client, flow);
    }
    return flow;
  }

  /** Keeps the clients in use, and the latest of the absent ones that are ahead of the virtual time. */
  #dropAbsent(): void {
    const kept: Flow<T, A>[] = [];
    let absent: Flow<T, A>[] = [];
    for (const flow of this.flows.values()) {
      if (flow.uses > 0) kept.push(flow);
      else if (flow.virtualTime > this.virtualTime) absent.push(flow);
    }
    if (absent.length > ABSENT_CLIENTS_MAX / 2) absent = absent.slice(-ABSENT_CLIENTS_MAX / 2);
    this.flows = new Map([...absent, ...kept].map((flow) => [flow.client, flow]));
    this.#dropsAt = ABSENT_CLIENTS_MAX + 2 * kept.length;
  }
}

/** The key that orders the groups of one client, before their deadlines. */
export function orderOf<T extends Capacity, A extends Applicant<T>>({ session, group }: QueuePosition<T, A>): number {
  return timeWithSide(session.virtualTime, group.isSide);
}

/** Swaps the first group with the best of the others if that one goes first. */
export function chooseFirst<T extends Capacity, A extends Applicant<T>>(flow: Flow<T, A>): void {
  const { first, others } = flow;
  if (first === null || others === null || others.size === 0 || !isBefore(others.peek()!, first)) return;
  flow.first = others.pop()!;
  flow.first.index = 0;
  others.push(first, orderOf(first), first.group.entries.peekKey());
}

/** Within a client: the session that has used less; within a session the earliest deadline, then arrival. */
function isBefore<T extends Capacity, A extends Applicant<T>>(a: QueuePosition<T, A>, b: QueuePosition<T, A>): boolean {
  const [time, other] = [orderOf(a), orderOf(b)];
  if (time !== other) return time < other;
  const [deadline, later] = [a.group.entries.peekKey(), b.group.entries.peekKey()];
  return deadline === later ? arrivedFirst(a, b) : deadline < later;
}

export function arrivedFirst<T extends Capacity, A extends Applicant<T>>(a: QueuePosition<T, A>, b: QueuePosition<T, A>): boolean {
  return a.group.entries.peekTie() < b.group.entries.peekTie();
}

/** Of clients with equal virtual time and deadline, the one that arrived first. */
function arrivedBefore<T extends Capacity, A extends Applicant<T>>(a: Flow<T, A>, b: Flow<T, A>): boolean {
  return a.first!.group.entries.peekTie() < b.first!.group.entries.peekTie();
}

function setFlowIndex(flow: { index: number }, index: number): void {
  flow.index = index;
}
