/**
 * The queue for capacity that providers limit: decides which waiting request starts next, and on which target.
 *
 * Each scarce resource has a queue (`resource-queue.ts`). A request that cannot start waits in one queue for each target on which it could
 * start later. When a resource opens, only the first request of its queue is evaluated, so a decision takes O(log n) in the number of
 * waiting requests.
 *
 * The first request holds the resources that it lacks: requests behind it may not take them, so that small requests never starve a large
 * one. They may take what it does not lack. The queues are ordered independently, so two first requests could wait for each other.
 * Therefore a poll starts with only those holds whose resource is actually closed; the first evaluated request that lacks nothing else
 * starts.
 *
 * A new request is refused at once if it cannot start in time, or if it would make another one of its class late. For this, each queue has
 * the backlog of its waiting requests (`backlog.ts`) and an estimate of what a class gets over time (`supply.ts`).
 *
 * Pure and synchronous: `now` is an argument, and there are no timers. `submit` and `poll` return the decisions; `wakeAt` is when to poll
 * next if no permit is closed before.
 */
import type { Instant } from '../../core/clock.ts';
import { Permit } from '../../core/permit.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { SchedulingClass } from '../../core/request.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Capacity, Resource } from '../../core/resource.ts';
import { Arrivals } from './arrivals.ts';
import { Evaluator, isClosedForAll, isHoldable, type Evaluation } from './evaluate.ts';
import { expectedStart } from './expected-start.ts';
import { IndexedHeap } from './indexed-heap.ts';
import { JOBS, TargetSet } from './target-set.ts';
import type { Entry, ResourceQueue, Candidate, RequestGroup, QueuePosition, Traffic } from './target-set.ts';
import { FairResourceQueue } from './resource-queue.ts';
import { countPlan, planStart } from './planned-start.ts';
import { QueuePlaces, sharesOf } from './queue-places.ts';
import { refusal } from './refusal.ts';
import { surveyOf, type Survey } from './survey.ts';
import type { Applicant, Decided, Decision, Raise, Refusal, SchedulerOptions, Start } from './types.ts';
import { SKIPPED_MAX, WaitList } from './wait-list.ts';

/** The most evaluations without a start in one poll; the next poll continues. */
const FAILED_EVALUATIONS_MAX = 4096;

/** A resource that opens later than expected by no more than this causes no new evaluation, in milliseconds. */
const DELAY_TOLERATED_MS = 1000;

export class Scheduler<T extends Capacity, A extends Applicant<T>> {
  #options: SchedulerOptions<T, A>;
  #shares: readonly number[];
  readonly #evaluator: Evaluator<T, A>;
  readonly #targetSets = new WeakMap<Applicant<T>['tiers'], TargetSet<T, A>>();
  readonly #queues = new WeakMap<Resource, ResourceQueue<T, A>>();
  readonly #waitList = new WaitList<T, A>();
  /** Requests whose wait does not end with their deadline. */
  readonly #expiry = new IndexedHeap<Entry<T, A>>((entry, index) => (entry.expiryIndex = index));
  readonly #traffic: Traffic = { interactiveAt: -Infinity };
  readonly #places = new QueuePlaces<T, A>();
  readonly #arrivals = new Arrivals();
  #length = 0;
  #sequence = 0;
  #wakeAt: Instant = Infinity;
  #failedEvaluations = 0;
  #decided: Decided<T, A>[] = [];

  constructor(options: SchedulerOptions<T, A>) {
    this.#options = options;
    this.#shares = sharesOf(options.minShare);
    this.#evaluator = new Evaluator(options.choose, this.#shares, (resource) => this.#queueOf(resource));
  }

  /** Applies new options; waiting requests stay. */
  configure(options: SchedulerOptions<T, A>): void {
    this.#options = options;
    this.#shares = this.#evaluator.shares = sharesOf(options.minShare);
    this.#evaluator.choose = options.choose;
  }

  get length(): number {
    return this.#length;
  }

  waiting(schedulingClass: SchedulingClass): number {
    return this.#places.taken(SCHEDULING_CLASSES.indexOf(schedulingClass));
  }

  readonly isWaitedFor = (resource: Resource): boolean => (this.#queues.get(resource)?.length ?? 0) > 0;

  /** When to `poll` if nothing else happens; Infinity: never. */
  get wakeAt(): Instant {
    if (this.#decided.length > 0) return -Infinity;
    return Math.min(this.#wakeAt, this.#waitList.rechecks.peekKey(), this.#expiry.peekKey());
  }

  /** The longest current wait, in milliseconds, to the second. Its cost does not depend on the number of waiting requests. */
  oldestMs(now: Instant): number {
    return now - this.#arrivals.oldest(now);
  }

  /** The waiting requests by class and targets, in at most this many groups. */
  survey(now: Instant, groupsMax: number): Survey<T, A> {
    return surveyOf(this.#waitList.rechecks, this.#length, groupsMax, (entry) => this.#newcomerAt(now, entry));
  }

  /** Starts, refuses or queues a new request. Poll after `wait`: the request may be the first of its queue. */
  submit(now: Instant, applicant: A): Decision<T> {
    const rank = SCHEDULING_CLASSES.indexOf(applicant.class);
    if (rank < JOBS) this.#traffic.interactiveAt = now;
    if (this.#length === 0 && rank < JOBS) {
      const target = this.#evaluator.startable(now, applicant);
      if (target !== null) return this.#reserve(now, applicant, target);
    }
    const entry = this.#entry(now, applicant, rank);
    const evaluation = this.#evaluator.evaluateNewcomer(entry, now, this.wakeAt <= now);
    if (evaluation.candidate !== null) return this.#start(now, entry, evaluation.candidate);
    if (!evaluation.feasible) return refusal('infeasible', applicant, now, expectedStart(now, this.#shares, entry, evaluation));
    if (this.#length >= this.#options.queueLengthMax) return this.#submitToFull(now, entry, evaluation);
    this.#enqueue(now, entry, evaluation);
    return { kind: 'wait' };
  }

  /** With a full queue, a new request replaces another one, or is refused. */
  #submitToFull(now: Instant, entry: Entry<T, A>, evaluation: Evaluation<T, A>): Decision<T> {
    const { rank, client } = entry.group;
    const other = this.#places.evictionFor(rank, client, this.#shares, this.#options.queueLengthMax);
    if (other === null) return refusal('queue_full', entry.applicant, now, expectedStart(now, this.#shares, entry, evaluation));
    this.#refuse(now, other, 'queue_full');
    const again = this.#evaluator.evaluateNewcomer(entry, now, true);
    if (again.candidate !== null) return this.#start(now, entry, again.candidate);
    this.#enqueue(now, entry, again);
    return { kind: 'wait' };
  }

  /** Removes a waiting applicant; false if it does not wait. What it held is free: poll at `wakeAt`. */
  cancel(now: Instant, applicant: A): boolean {
    const entry = applicant.waiting as Entry<T, A> | null;
    if (entry === null) {
      const index = this.#decided.findIndex((decided) => decided.applicant === applicant);
      return index >= 0 && this.#decided.splice(index, 1).length > 0;
    }
    const wasFirst = entry.group.entries.peek() === entry;
    this.#remove(now, entry);
    if (this.#length === 0) this.#wakeAt = Infinity;
    else if (wasFirst) this.#wakeAt = now;
    return true;
  }

  /** A more urgent caller has joined a waiting request, which moves to the position of that caller; then poll. False: it does not wait. */
  raise(now: Instant, applicant: A, by: Raise): boolean {
    const entry = applicant.waiting as Entry<T, A> | null;
    if (entry === null) return false;
    const rank = Math.min(entry.group.rank, by.class === undefined ? Infinity : SCHEDULING_CLASSES.indexOf(by.class));
    this.#remove(now, entry);
    entry.deadline = Math.min(entry.deadline, by.deadline ?? Infinity);
    entry.waitUntil = Math.max(entry.waitUntil, by.waitUntil ?? -Infinity);
    entry.group = entry.group.targetSet.group(rank, applicant);
    this.#enqueue(now, entry, this.#evaluator.evaluate(entry, now, true));
    this.#wakeAt = now;
    return true;
  }

  /** Returns all decisions that are possible now. `everyone`: evaluates every group, because a resource was changed from outside. */
  poll(now: Instant, everyone = false): Decided<T, A>[] {
    if (everyone) this.#waitList.recheckAll();
    if (this.#length > 0) this.#decide(now);
    const decided = this.#decided;
    this.#decided = [];
    return decided;
  }

  /** Requests were replaced by new ones; the next poll returns their refusals. */
  get hasDecided(): boolean {
    return this.#decided.length > 0;
  }

  #decide(now: Instant): void {
    this.#expire(now);
    this.#wakeAt = Infinity;
    this.#failedEvaluations = 0;
    for (const queue of this.#waitList.active) queue.holder = null;
    for (const queue of this.#waitList.active) this.#open(now, queue);
    for (;;) {
      this.#serveOpenQueues(now);
      const group = this.#waitList.due.pop();
      if (group === undefined) break;
      group.isDue = false;
      if (group.entries.size > 0 && !group.isEvaluated) this.#tryHead(now, group);
    }
    for (const queue of this.#waitList.active) {
      queue.isOpen = false;
      queue.restoreSkipped();
      this.#wakeAt = Math.min(this.#wakeAt, queue.wakeAt);
    }
    if (this.#failedEvaluations >= FAILED_EVALUATIONS_MAX) this.#wakeAt = now;
  }

  /** Refuses requests whose wait is over; schedules groups whose patience or backoff is over. */
  #expire(now: Instant): void {
    for (let entry = this.#expiry.peek(); entry !== undefined && entry.waitUntil <= now; entry = this.#expiry.peek()) {
      this.#refuse(now, entry, 'expired');
    }
    while (this.#waitList.rechecks.peekKey() <= now) {
      const group = this.#waitList.rechecks.peek()!;
      const head = group.entries.peek()!;
      if (head.expiryIndex < 0 && head.waitUntil <= now) this.#refuse(now, head, 'expired');
      else this.#waitList.recheckNow(group);
    }
  }

  /** Decides whether the queue is served in this poll; if not, which request holds the resource, and until when. */
  #open(now: Instant, queue: ResourceQueue<T, A>): void {
    queue.wakeAt = Infinity;
    const front = queue.front()!;
    queue.isOpen = !front.group.isEvaluated || this.#isOpenFor(now, front);
    if (!queue.isOpen && front.holds) this.#waitList.hold(front.group);
    else if (!queue.isOpen) {
      queue.isOpen = !isClosedForAll(queue, now);
      if (this.#isDelayed(now, queue, front)) for (const group of queue.groups()) this.#waitList.recheckNow(group);
    }
    if (queue.isOpen) this.#waitList.isAnyOpen = true;
  }

  /** False if the resource is closed for the first request of the group; then sets when the queue opens. */
  #isOpenFor(now: Instant, position: QueuePosition<T, A>): boolean {
    const { candidate, group, queue } = position;
    if (candidate === null) return true;
    const { applicant, deadline } = group.entries.peek()!;
    const at = queue.earliest(now, applicant.needOn(candidate.target), group.rank, deadline);
    if (at > now) queue.wakeAt = Math.min(queue.wakeAt, at);
    return at !== WHEN_SETTLED && at <= now;
  }

  /** A breaker has opened again, or a pause was extended: requests that can no longer start in time are to be refused now. */
  #isDelayed(now: Instant, { resource }: ResourceQueue<T, A>, front: QueuePosition<T, A>): boolean {
    if (isHoldable(resource) || front.candidate === null) return false;
    const at = resource.earliest(now, front.group.entries.peek()!.applicant.needOn(front.candidate.target));
    return at > Math.max(now, front.opensAt) + DELAY_TOLERATED_MS;
  }

  /** Serves class by class over all queues, so that of two queues that open together the one with the higher class is first. */
  #serveOpenQueues(now: Instant): void {
    while (this.#waitList.isAnyOpen && this.#failedEvaluations < FAILED_EVALUATIONS_MAX) {
      this.#waitList.isAnyOpen = false;
      for (let rank = 0; rank < SCHEDULING_CLASSES.length; rank++) {
        // In reverse order: when a queue becomes empty, the last one takes its index, and that one has been served already.
        for (let i = this.#waitList.active.length - 1; i >= 0; i--) {
          const queue = this.#waitList.active[i];
          if (queue?.isOpen === true) this.#serve(now, queue, rank);
        }
      }
    }
  }

  /** Serves an open queue while its first request is of this class or a higher one. */
  #serve(now: Instant, queue: ResourceQueue<T, A>, rank: number): void {
    while (this.#failedEvaluations < FAILED_EVALUATIONS_MAX) {
      const position = queue.front();
      if (position === null) break;
      const { group } = position;
      if (group.rank > rank && queue.servingRank(group.rank) === group.rank) return;
      if (!group.isEvaluated || this.#isOpenFor(now, position)) {
        if (this.#tryHead(now, group)) continue;
        this.#failedEvaluations++;
        if (position.index < 0) continue; // it now waits in another queue
        if (position.opensAt > now) queue.wakeAt = Math.min(queue.wakeAt, position.opensAt);
      } else if (position.holds) this.#waitList.hold(group);
      if (position.holds || queue.skipped.length >= SKIPPED_MAX || isClosedForAll(queue, now)) break;
      queue.skip(position);
    }
    queue.isOpen = false;
  }

  /**
   * Evaluates the first request of a group. True if the group has another first request now: this one started, was refused, or was
   * isolated.
   */
  #tryHead(now: Instant, group: RequestGroup<T, A>): boolean {
    const entry = group.entries.peek()!;
    const evaluation = this.#evaluator.evaluate(entry, now, false);
    if (evaluation.candidate !== null) {
      this.#decided.push({ applicant: entry.applicant, decision: this.#start(now, entry, evaluation.candidate) });
      return true;
    }
    if (!evaluation.feasible) {
      this.#refuse(now, entry, 'infeasible');
      if (group.entries.size > 0) this.#waitList.recheckNow(group);
      return true;
    }
    this.#waitList.updatePositions(now, group, evaluation);
    return this.#waitList.isolate(now, entry, evaluation);
  }

  #entry(now: Instant, applicant: A, rank: number): Entry<T, A> {
    return {
      applicant,
      deadline: applicant.deadline,
      waitUntil: applicant.waitUntil,
      since: now,
      sequence: this.#sequence++,
      group: this.#targetSet(applicant.tiers).group(rank, applicant),
      orderIndex: -1,
      expiryIndex: -1,
      plannedOn: null,
      plannedQueue: null,
      bucket: 0,
    };
  }

  #enqueue(now: Instant, entry: Entry<T, A>, evaluation: Evaluation<T, A>): void {
    const { group } = entry;
    entry.applicant.waiting = entry;
    this.#length++;
    this.#places.add(entry);
    this.#arrivals.count(entry.since, 1);
    planStart(now, entry, evaluation);
    if (entry.waitUntil > entry.deadline && !group.watchesAll) {
      group.watchesAll = true;
      for (const other of group.entries.items()) if (other.expiryIndex < 0) this.#trackExpiry(other);
    }
    if (entry.waitUntil !== entry.deadline || group.watchesAll) this.#trackExpiry(entry);
    group.entries.push(entry, entry.deadline, entry.sequence);
    if (group.entries.peek() !== entry) return;
    if (group.entries.size > 1) this.#waitList.headChanged(group);
    this.#waitList.updatePositions(now, group, evaluation);
    this.#waitList.isolate(now, entry, evaluation);
    for (const position of entry.group.positions) if (position.opensAt > now) this.#wakeAt = Math.min(this.#wakeAt, position.opensAt);
  }

  /** Tracks the end of its wait independently of its place in its group. */
  #trackExpiry(entry: Entry<T, A>): void {
    this.#expiry.push(entry, entry.waitUntil, entry.sequence);
    entry.group.expiring++;
  }

  /** Removes a waiting entry from every structure. */
  #remove(now: Instant, entry: Entry<T, A>): void {
    const { group } = entry;
    const wasFirst = group.entries.peek() === entry;
    countPlan(now, entry, -1);
    group.entries.remove(entry.orderIndex);
    if (entry.expiryIndex >= 0) {
      this.#expiry.remove(entry.expiryIndex);
      group.expiring--;
    }
    if (group.entries.size === 0) group.watchesAll = false;
    entry.applicant.waiting = null;
    this.#length--;
    this.#places.remove(entry);
    this.#arrivals.count(entry.since, -1);
    if (wasFirst) this.#waitList.headChanged(group);
  }

  #refuse(now: Instant, entry: Entry<T, A>, why: Refusal['why']): void {
    this.#remove(now, entry);
    // On a retry the requests that still wait go first, so the earliest free instant is not when a new request would start.
    const expected = expectedStart(now, this.#shares, entry, this.#evaluator.outlook(entry, now));
    this.#decided.push({ applicant: entry.applicant, decision: refusal(why, entry.applicant, now, expected) });
  }

  #start(now: Instant, entry: Entry<T, A>, candidate: Candidate<T, A>): Start<T> {
    const { applicant, group } = entry;
    const { target, queues } = candidate;
    const start = this.#reserve(now, applicant, target);
    for (const queue of queues) if (queue.length > 0) queue.recordStart(now, group, start.permit.need, this.#shares);
    if (entry.orderIndex >= 0) this.#remove(now, entry);
    return start;
  }

  #reserve(now: Instant, applicant: A, target: T): Start<T> {
    const need = applicant.needOn(target);
    const permit = Permit.reserve(now, need, target.resources);
    const clientPermit = applicant.own.length === 0 ? null : Permit.reserve(now, need, applicant.own);
    this.#options.onStart?.(target, now);
    return { kind: 'start', target, permit, clientPermit };
  }

  /** When a new request with the same targets and the same time limit would start. */
  #newcomerAt(now: Instant, { applicant, deadline, since, group }: Entry<T, A>): Instant | null {
    const entry = { ...this.#entry(now, applicant, group.rank), deadline: deadline + now - since, waitUntil: Infinity };
    const evaluation = this.#evaluator.evaluate(entry, now, true);
    return evaluation.candidate === null ? expectedStart(now, this.#shares, entry, evaluation) : now;
  }

  #targetSet(tiers: Applicant<T>['tiers']): TargetSet<T, A> {
    let targetSet = this.#targetSets.get(tiers);
    if (targetSet === undefined) {
      const candidate = (target: T): Candidate<T, A> => ({ target, queues: target.resources.map((resource) => this.#queueOf(resource)) });
      targetSet = new TargetSet<T, A>(tiers.map((tier) => tier.map(candidate)));
      this.#targetSets.set(tiers, targetSet);
    }
    return targetSet;
  }

  #queueOf(resource: Resource): ResourceQueue<T, A> {
    let queue = this.#queues.get(resource);
    if (queue === undefined) this.#queues.set(resource, (queue = new FairResourceQueue<T, A>(resource, this.#traffic)));
    return queue;
  }
}
