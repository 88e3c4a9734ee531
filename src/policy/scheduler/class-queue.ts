/** What a line knows of one class: its clients with what they have used, what it has been promised and given. */
import type { Instant } from '../../core/clock.ts';
import type { Capacity } from '../../core/resource.ts';
import { IndexedHeap } from './indexed-heap.ts';
import type { Flow, QueuePosition } from './target-set.ts';
import { Backlog } from './backlog.ts';
import { SessionAccounts, timeWithSide } from './session-accounts.ts';
import type { Applicant } from './types.ts';

/** A line remembers what so many absent clients have used; beyond it those who owe nothing are forgotten, then anybody. */
const ABSENT_CLIENTS_MAX = 1024;

export class ClassQueue<T extends Capacity, A extends Applicant<T>> {
  flows = new Map<string, Flow<T, A>>();
  readonly order = new IndexedHeap<Flow<T, A>>(setFlowIndex, arrivedBefore);
  /** The same clients, whose first is due first. */
  readonly urgency = new IndexedHeap<Flow<T, A>>((flow, index) => (flow.urgencyIndex = index));
  readonly backlog = new Backlog();
  virtualTime = 0;
  /** Queues that stand in the line. */
  length = 0;
  credit = 0;
  /** What was given to it of late, fading. */
  allocated = 0;
  allocatedAt: Instant = -Infinity;
  #forgetsAt = ABSENT_CLIENTS_MAX;

  flow(client: string): Flow<T, A> {
    let flow = this.flows.get(client);
    if (flow === undefined) {
      if (this.flows.size >= this.#forgetsAt) this.#forget();
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

  /** Makes the table anew: one from which much was deleted keeps its old forms alive. */
  #forget(): void {
    const kept: Flow<T, A>[] = [];
    let absent: Flow<T, A>[] = [];
    for (const flow of this.flows.values()) {
      if (flow.uses > 0) kept.push(flow);
      else if (flow.virtualTime > this.virtualTime) absent.push(flow);
    }
    if (absent.length > ABSENT_CLIENTS_MAX / 2) absent = absent.slice(-ABSENT_CLIENTS_MAX / 2);
    this.flows = new Map([...absent, ...kept].map((flow) => [flow.client, flow]));
    this.#forgetsAt = ABSENT_CLIENTS_MAX + 2 * kept.length;
  }
}

/** What a queue is ordered by among those of its client; then by its deadline. */
export function orderOf<T extends Capacity, A extends Applicant<T>>({ session, group }: QueuePosition<T, A>): number {
  return timeWithSide(session.virtualTime, group.isSide);
}

/** The first and the best of the others change places where that one goes before. */
export function chooseFirst<T extends Capacity, A extends Applicant<T>>(flow: Flow<T, A>): void {
  const { first, others } = flow;
  if (first === null || others === null || others.size === 0 || !isBefore(others.peek()!, first)) return;
  flow.first = others.pop()!;
  flow.first.index = 0;
  others.push(first, orderOf(first), first.group.entries.peekKey());
}

/** Of one client: the session that has used less; in a session the earliest deadline, then the first that came. */
function isBefore<T extends Capacity, A extends Applicant<T>>(a: QueuePosition<T, A>, b: QueuePosition<T, A>): boolean {
  const [time, other] = [orderOf(a), orderOf(b)];
  if (time !== other) return time < other;
  const [deadline, later] = [a.group.entries.peekKey(), b.group.entries.peekKey()];
  return deadline === later ? arrivedFirst(a, b) : deadline < later;
}

export function arrivedFirst<T extends Capacity, A extends Applicant<T>>(a: QueuePosition<T, A>, b: QueuePosition<T, A>): boolean {
  return a.group.entries.peekTie() < b.group.entries.peekTie();
}

/** Of clients with the same virtual time and deadline, the one whose request came first. */
function arrivedBefore<T extends Capacity, A extends Applicant<T>>(a: Flow<T, A>, b: Flow<T, A>): boolean {
  return a.first!.group.entries.peekTie() < b.first!.group.entries.peekTie();
}

function setFlowIndex(flow: { index: number }, index: number): void {
  flow.index = index;
}
