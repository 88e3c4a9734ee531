/**
 * The queue of one resource: the requests that this resource blocks, in the order in which they are served.
 *
 * Each scarce resource has its own queue, so shares and fairness apply to that resource, over all routes that use it. A queue contains
 * groups of requests (`target-set.ts`), each ordered by its first request. The order is: by class; within a class by client, the one that
 * has used less of this resource first (start-time fair queueing, with a virtual time in tokens); within a client by session in the same
 * way; within a session by deadline, then arrival.
 *
 * Every start on the resource adds its minimum share to the credit of each class that waits in the queue. A class whose credit reaches one
 * whole start is served first.
 */
import type { Instant } from '../../core/clock.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Capacity, Need, Resource } from '../../core/resource.ts';
import { IndexedHeap } from './indexed-heap.ts';
import { JOBS, UNPLACED } from './target-set.ts';
import type { Entry, Flow, ResourceQueue, QueueAccounts, RequestGroup, QueuePosition, Traffic } from './target-set.ts';
import { arrivedFirst, chooseFirst, ClassQueue, orderOf } from './class-queue.ts';
import { Pace } from './pace.ts';
import { timeWithSide } from './session-accounts.ts';
import { inflowBesideHeadroom, isPlainWindow, JOBS_HEADROOM, URGENT_MS, reservableOf, RECENT_MS, headroomOf } from './headroom.ts';
import { Supply } from './supply.ts';
import type { Applicant } from './types.ts';
import { UnitTime } from './unit-time.ts';

/** Credit is a sum of floats: twenty times 0.05 is a whole start. */
const WHOLE_START = 1 - 1e-9;
/** The most credit that a class accumulates while none of its requests can start. */
const CREDIT_MAX = 2;
/** The time constant of the recent allocation of each class, in milliseconds. */
const RATE_MEMORY_MS = 300_000;
/** The weight of the assumption that no higher class arrives, in units of the applicant's need: a few starts are weak evidence. */
const RATE_PRIOR = 10;
/** A window opens in bursts; the first one may have this many units of the applicant's need. */
const WINDOW_AHEAD = 2;
/** The number of starts that may come together where starts are spread over a window. */
const SPREAD_BURST = 2;

const supply = new Supply();
const asked = { requests: 0, inputTokens: 0, outputTokens: 0 };

const MANY_REQUESTS: Need = { requests: 1e15, inputTokens: 0, outputTokens: 0 };

export class FairResourceQueue<T extends Capacity, A extends Applicant<T>> implements ResourceQueue<T, A> {
  readonly resource: Resource;
  readonly #classes: (ClassQueue<T, A> | null)[] = SCHEDULING_CLASSES.map(() => null);
  readonly #pace = new Pace();
  readonly #traffic: Traffic;
  readonly #countsTokens: boolean;
  #fadedAt: Instant = 0;
  /**
   * Requests that fill a window all at once would free it all at once a window later, with nothing for urgent requests in between. So
   * starts of waiting requests are spread evenly over a window: none before this instant.
   */
  #spreadUntil: Instant = -Infinity;
  readonly #unit: UnitTime;
  /** The number of groups in it. */
  length = 0;
  /** The index in the list of active queues. */
  index = -1;
  /** When the resource opens for the first request without a settlement. */
  wakeAt: Instant = Infinity;
  /** The first position that holds the resource against requests behind it; set by the last poll. */
  holder: QueuePosition<T, A> | null = null;
  /** A request in it may be able to start, so it is served in this poll. */
  isOpen = false;
  /** Skipped in this poll, and restored after it. */
  readonly skipped: QueuePosition<T, A>[] = [];

  constructor(resource: Resource, traffic: Traffic) {
    this.#traffic = traffic;
    this.resource = resource;
    this.#unit = new UnitTime(resource);
    const isMixed = resource.kind === 'client' || resource.kind === 'budget';
    this.#countsTokens = isMixed ? resource.earliest(0, MANY_REQUESTS) !== Infinity : resource.kind === 'tokens';
  }

  /** The first position: of a class with a whole start of credit, else of the highest class. */
  front(): QueuePosition<T, A> | null {
    let highest: ClassQueue<T, A> | null = null;
    for (let rank = this.#classes.length - 1; rank >= 0; rank--) {
      const each = this.#classes[rank]!;
      if (each === null || each.order.size === 0) continue;
      if (each.credit >= WHOLE_START) return each.order.peek()!.first;
      highest = each;
    }
    return highest === null ? null : highest.order.peek()!.first;
  }

  /** The current rank of a class in the order of service; lower goes first. */
  servingRank(rank: number): number {
    const each = this.#classes[rank]!;
    return each !== null && each.credit >= WHOLE_START ? -1 - rank : rank;
  }

  /** True if `position` goes before `entry`, which is in another group or in none. */
  precedes(position: QueuePosition<T, A>, entry: Entry<T, A>): boolean {
    const { rank, client } = entry.group;
    if (position.group.rank !== rank) return this.servingRank(position.group.rank) < this.servingRank(rank);
    const { entries } = position.group;
    if (entries.size === 0) return false;
    const each = this.#classes[rank]!;
    const flow = each.flows.get(client);
    if (flow !== position.flow) {
      const virtualTime =
        flow === undefined ? each.virtualTime : flow.index >= 0 ? flow.virtualTime : Math.max(flow.virtualTime, each.virtualTime);
      if (virtualTime !== position.flow.virtualTime) return position.flow.virtualTime < virtualTime;
    } else {
      const time = timeWithSide(flow.sessions.timeOf(entry.group.session), entry.group.isSide);
      if (time !== orderOf(position)) return orderOf(position) < time;
    }
    return entries.peekKey() !== entry.deadline ? entries.peekKey() < entry.deadline : entries.peekTie() < entry.sequence;
  }

  enter(group: RequestGroup<T, A>): QueuePosition<T, A> {
    const each = this.#class(group.rank);
    const { flow, session } = this.#account(group);
    const position: QueuePosition<T, A> = { ...UNPLACED, group, queue: this, flow, session };
    flow.sessions.enter(session, position);
    if (flow.first === null) flow.virtualTime = Math.max(flow.virtualTime, each.virtualTime);
    this.#add(each, position);
    each.length++;
    this.length++;
    return position;
  }

  leave(position: QueuePosition<T, A>): void {
    const each = this.#classes[position.group.rank]!;
    if (position.isSkipped) this.skipped.splice(this.skipped.indexOf(position), 1);
    else this.#take(each, position);
    position.isSkipped = false;
    position.flow.sessions.leave(position.session, position);
    if (this.holder === position) this.holder = null;
    this.length--;
    // The class keeps its credit: requests that wait for several resources move between queues, and would never reach a whole start.
    each.length--;
  }

  /** All groups in it. */
  *groups(): Generator<RequestGroup<T, A>> {
    for (const each of this.#classes) {
      for (const { first, others } of each?.order.items() ?? []) {
        yield first!.group;
        for (const position of others?.items() ?? []) yield position.group;
      }
    }
  }

  /** The first request of the group has changed. */
  rekey(position: QueuePosition<T, A>): void {
    if (this.holder === position) this.holder = null;
    if (position.isSkipped) return;
    this.#restoreOrder(position);
    this.#sort(this.#classes[position.group.rank]!, position.flow);
  }

  /** Restores the order among the groups of its client. */
  #restoreOrder(position: QueuePosition<T, A>): void {
    const { flow, group } = position;
    if (flow.first !== position) flow.others!.update(position.index, orderOf(position), group.entries.peekKey());
    chooseFirst(flow);
  }

  skip(position: QueuePosition<T, A>): void {
    this.#take(this.#classes[position.group.rank]!, position);
    position.isSkipped = true;
    this.skipped.push(position);
  }

  restoreSkipped(): void {
    for (const position of this.skipped) {
      position.isSkipped = false;
      this.#add(this.#classes[position.group.rank]!, position);
    }
    this.skipped.length = 0;
  }

  /** Records a start that takes from the resource while others wait for it. */
  recordStart(now: Instant, group: RequestGroup<T, A>, need: Need, shares: readonly number[]): void {
    this.#pace.record(now);
    const own = this.#class(group.rank);
    this.#recordAllocation(now, own, need);
    const tokens = need.inputTokens + need.outputTokens;
    const known = group.accountsIn(this);
    const flow = known?.flow ?? own.flow(group.client);
    const session = known?.session ?? flow.sessions.of(group.session);
    flow.sessions.use(session, tokens);
    for (const position of session.positions) if (!position.isSkipped) this.#restoreOrder(position);
    if (flow.index < 0) flow.virtualTime = Math.max(flow.virtualTime, own.virtualTime);
    own.virtualTime = Math.max(flow.virtualTime, own.virtualTime);
    flow.virtualTime += Math.max(1, tokens);
    if (flow.index >= 0) this.#sort(own, flow);
    own.credit = Math.max(0, own.credit - 1);
    for (let earning = 0; earning < this.#classes.length; earning++) {
      const each = this.#classes[earning]!;
      if (each !== null && each.length > 0) each.credit = Math.min(CREDIT_MAX, each.credit + shares[earning]!);
    }
  }

  #recordAllocation(now: Instant, own: ClassQueue<T, A>, need: Need): void {
    const fades = Math.exp((this.#fadedAt - now) / RATE_MEMORY_MS);
    this.#fadedAt = now;
    for (const each of this.#classes) if (each !== null) each.allocated *= fades;
    const amount = this.#amountOf(need);
    own.allocated += amount;
    own.allocatedAt = now;
    if (!isPlainWindow(this.resource) || amount <= 0) return;
    const unitMs = this.#unit.ms(now, need, amount);
    this.#spreadUntil = Math.max(this.#spreadUntil, now - (SPREAD_BURST - 1) * amount * unitMs) + amount * unitMs;
  }

  /** When a request of this class can take `need`. Headroom for other classes counts as taken, unless the class is owed its share. */
  earliest(now: Instant, need: Need, rank: number, deadline: Instant): Instant {
    const { resource } = this;
    const headroom = this.#headroom(now, rank);
    if (resource.kind === 'concurrency') {
      const at = resource.earliest(now, need);
      return headroom > 0 && at !== WHEN_SETTLED && at <= now && resource.available!(now) - headroom < 1 ? WHEN_SETTLED : at;
    }
    let at = headroom > 0 ? this.#earliestBeside(now, need, headroom) : resource.earliest(now, need);
    if (at > now && headroom > 0 && rank !== JOBS) {
      const least = this.#earliestBeside(now, need, Math.floor(reservableOf(resource) * headroomOf(resource).least));
      const due = Math.min(deadline, this.#classes[rank]?.urgency.peekKey() ?? Infinity);
      at = Math.min(at, Math.max(least, due - URGENT_MS));
    }
    return rank > 0 && this.length > 0 ? Math.max(at, this.#spreadUntil) : at;
  }

  /** The amount that the class leaves free. */
  #headroom(now: Instant, rank: number): number {
    const { kind } = this.resource;
    const room = reservableOf(this.resource);
    if (rank === 0 || room === 0 || !(kind === 'requests' || kind === 'tokens' || kind === 'concurrency')) return 0;
    if (rank === JOBS) return now - this.#traffic.interactiveAt < RECENT_MS ? Math.floor(room * JOBS_HEADROOM) : 0;
    if (kind === 'concurrency' || this.servingRank(rank) < 0) return 0;
    for (let higher = 0; higher < rank; higher++) {
      const each = this.#classes[higher];
      if (each !== undefined && each !== null && now - each.allocatedAt < RECENT_MS)
        return Math.floor(room * headroomOf(this.resource).most * this.#evidence());
    }
    return 0;
  }

  /**
   * The weight of the recent allocations against the assumption that no higher class is active: a few starts say little about future
   * arrivals.
   */
  #evidence(): number {
    let all = 0;
    for (const each of this.#classes) all += each?.allocated ?? 0;
    const knownMs = all * this.#unit.lastMs;
    return knownMs / (knownMs + headroomOf(this.resource).priorMs);
  }

  #earliestBeside(now: Instant, need: Need, headroom: number): Instant {
    const { resource } = this;
    const more = Math.max(0, Math.min(headroom, reservableOf(resource) - this.#amountOf(need)));
    asked.requests = this.#countsTokens ? 0 : more;
    asked.inputTokens = this.#countsTokens ? more : 0;
    asked.outputTokens = 0;
    // Headroom is left in the pool, not fetched.
    if (resource.isPooled === true) return Math.max(resource.earliest(now, need), resource.earliestAfter!(now, asked, need));
    asked.requests += need.requests;
    asked.inputTokens += need.inputTokens;
    asked.outputTokens += need.outputTokens;
    return resource.earliest(now, asked);
  }

  /** Counts what a waiting request will take; `sign` -1 removes it. */
  addToBacklog(now: Instant, entry: Entry<T, A>, need: Need, sign: 1 | -1): void {
    const { flow, session } = this.#account(entry.group);
    const amount = this.#amountOf(need);
    flow.sessions.addToBacklog(session, amount, sign);
    this.#classes[entry.group.rank]!.backlog.add(now, entry.bucket, entry.deadline, amount, flow, sign);
  }

  /**
   * When `need` can be taken after all requests ahead of it, and without making one of its own class late; `now` or before: at once, as far
   * as is known. `least`: a lower bound, for rates that are only estimated.
   */
  expectedAt(now: Instant, entry: Entry<T, A>, need: Need, shares: readonly number[], least: boolean): Instant {
    const { rank, client, session } = entry.group;
    const amount = this.#amountOf(need);
    if (amount <= 0 || !this.#estimateSupply(now, entry, need, amount, least)) return now;
    let [higher, allocated, all, lower] = [0, 0, RATE_PRIOR * amount + headroomOf(this.resource).priorMs / supply.unitMs, 0];
    for (let each = 0; each < this.#classes.length; each++) {
      const other = this.#classes[each]!;
      if (other === null) continue;
      if (each < rank) {
        higher += other.backlog.total;
        allocated += other.allocated;
      } else if (each > rank && other.backlog.total > 0) lower += shares[each]!;
      all += other.allocated;
    }
    const own = this.#classes[rank]!;
    supply.after(higher, allocated / all + lower, shares[rank]!);
    if (own === null) return supply.when(amount);
    const flow = own.flows.get(client);
    const backlog = flow?.backlog ?? 0;
    const ahead = flow?.sessions.ahead(session, amount, backlog) ?? Infinity;
    return own.backlog.when(now, entry.deadline, amount, backlog, supply, ahead);
  }

  /** Sets `supply`; false: it is unknown. */
  #estimateSupply(now: Instant, entry: Entry<T, A>, need: Need, amount: number, least: boolean): boolean {
    const { resource } = this;
    const { rank } = entry.group;
    const at = this.earliest(now, need, rank, entry.deadline);
    if (resource.kind === 'concurrency') {
      const gapMs = this.#pace.gapMs(least);
      if (gapMs === null) return false;
      supply.of(at === WHEN_SETTLED || at > now ? now + gapMs : now, amount, gapMs);
      return true;
    }
    if (resource.earliestAfter === undefined || at === Infinity) return false;
    const unitMs = this.#unit.ms(now, need, amount);
    if (unitMs === 0) return false;
    const headroom = this.#headroom(now, rank);
    if (headroom > 0 && rank !== JOBS && resource.isPooled !== true) {
      supply.of(now, at <= now ? amount : 0, unitMs / inflowBesideHeadroom(resource));
      return true;
    }
    supply.of(
      Math.max(now, at),
      isPlainWindow(resource) ? WINDOW_AHEAD * amount : amount + Math.max(0, this.#unit.freeBeside(now, need, amount, unitMs) - headroom),
      unitMs,
    );
    return true;
  }

  gapMs(now: Instant, need: Need): number | null {
    if (this.resource.kind === 'concurrency') return this.#pace.gapMs(false);
    const amount = this.#amountOf(need);
    return this.resource.earliestAfter === undefined || amount <= 0 ? null : this.#unit.ms(now, need, amount) * amount;
  }

  #amountOf(need: Need): number {
    return this.#countsTokens ? need.inputTokens + need.outputTokens : need.requests;
  }

  /** The accounts of a group's client and session, cached in the group while it is in use. */
  #account(group: RequestGroup<T, A>): QueueAccounts<T, A> {
    const known = group.accountsIn(this);
    if (known !== undefined) return known;
    const flow = this.#class(group.rank).flow(group.client);
    flow.uses++;
    const accounts = { queue: this, flow, session: flow.sessions.of(group.session) };
    group.flows.push(accounts);
    return accounts;
  }

  #class(rank: number): ClassQueue<T, A> {
    return (this.#classes[rank] ??= new ClassQueue<T, A>());
  }

  #add(each: ClassQueue<T, A>, position: QueuePosition<T, A>): void {
    const { flow, group } = position;
    position.index = 0;
    if (flow.first === null) flow.first = position;
    else
      (flow.others ??= new IndexedHeap<QueuePosition<T, A>>(setPositionIndex, arrivedFirst)).push(
        position,
        orderOf(position),
        group.entries.peekKey(),
      );
    chooseFirst(flow);
    this.#sort(each, flow);
  }

  #take(each: ClassQueue<T, A>, position: QueuePosition<T, A>): void {
    const { flow } = position;
    if (flow.first !== position) flow.others!.remove(position.index);
    else flow.first = flow.others?.pop() ?? null;
    if (flow.first === null) {
      each.order.remove(flow.index);
      each.urgency.remove(flow.urgencyIndex);
    } else {
      flow.first.index = 0;
      this.#sort(each, flow);
    }
    position.index = -1;
  }

  #sort(each: ClassQueue<T, A>, flow: Flow<T, A>): void {
    const deadline = flow.first!.group.entries.peekKey();
    if (flow.index < 0) {
      each.order.push(flow, flow.virtualTime, deadline);
      each.urgency.push(flow, deadline, 0);
    } else {
      each.order.update(flow.index, flow.virtualTime, deadline);
      each.urgency.update(flow.urgencyIndex, deadline, 0);
    }
  }
}

function setPositionIndex(position: { index: number }, index: number): void {
  position.index = index;
}
