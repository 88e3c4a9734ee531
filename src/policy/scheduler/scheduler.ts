/**
 * One queue for capacity that is not ours (design 4.1).
 *
 * Each resource that is short has a **line** (`line.ts`); whoever can't start stands in one line for each target that it could start
 * on. When something frees up, only the first of its line is looked at, so a decision costs O(log n) however many wait, and whoever
 * waits for something else is not asked at all. What a first one lacks it keeps from those behind it, so small requests never starve a
 * large one; what it doesn't lack they may take.
 *
 * No line knows of another one's order, so two could wait for each other. Therefore nobody keeps anything at the beginning of a
 * poll but those who lack something that is really closed; whoever is looked at first and lacks nothing else starts.
 *
 * A newcomer is told at once if it can't start in time, or would break a promise made to its class. For that each line knows how much
 * is promised to those who wait (`promises.ts`), and what is left for a class by when (`supply.ts`).
 *
 * Pure and synchronous: `now` is given, no timers, no calls up. `submit` and `poll` return what was decided;
 * `wakeAt` says when to poll next if no permit is closed before.
 */
import type { Instant } from '../../core/clock.ts';
import { Permit } from '../../core/permit.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { SchedulingClass } from '../../core/request.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Capacity, Resource } from '../../core/resource.ts';
import { Arrivals } from './arrivals.ts';
import { Evaluator, isClosedForAll, isHoldable } from './evaluate.ts';
import { expectedStart } from './expected-start.ts';
import type { Look } from './evaluate.ts';
import { IndexedHeap } from './indexed-heap.ts';
import { JOBS, Lane } from './lane.ts';
import type { Entry, Line, Place, Queue, Spot, Traffic } from './lane.ts';
import { ResourceLine } from './line.ts';
import { countPromise, exchangePromises, makePromise } from './counted-on.ts';
import { QueuePlaces, sharesOf } from './queue-places.ts';
import { refusal } from './refusal.ts';
import { surveyOf } from './survey.ts';
import type { Survey } from './survey.ts';
import type { Applicant, Decided, Decision, Raise, Refusal, SchedulerOptions, Start } from './types.ts';
import { LOOK_PAST_MAX, WaitingRoom } from './waiting-room.ts';

/** So many are looked at in vain in one poll; the next one goes on. */
const VAIN_LOOKS_MAX = 4096;

/** What opens later by no more than this is no news to those who wait for it, in milliseconds. */
const NEWS_MS = 1000;

export class Scheduler<T extends Capacity, A extends Applicant<T>> {
  #options: SchedulerOptions<T, A>;
  #shares: readonly number[];
  readonly #evaluator: Evaluator<T, A>;
  readonly #lanes = new WeakMap<Applicant<T>['tiers'], Lane<T, A>>();
  readonly #lines = new WeakMap<Resource, Line<T, A>>();
  readonly #room = new WaitingRoom<T, A>();
  /** Those whose wait ends apart from their deadline. */
  readonly #expiry = new IndexedHeap<Entry<T, A>>((entry, index) => (entry.expiryIndex = index));
  readonly #traffic: Traffic = { interactiveAt: -Infinity };
  readonly #places = new QueuePlaces<T, A>();
  readonly #arrivals = new Arrivals();
  #length = 0;
  #sequence = 0;
  #wakeAt: Instant = Infinity;
  #vainLooks = 0;
  #decided: Decided<T, A>[] = [];

  constructor(options: SchedulerOptions<T, A>) {
    this.#options = options;
    this.#shares = sharesOf(options.minShare);
    this.#evaluator = new Evaluator(options.choose, this.#shares, (resource) => this.#lineOf(resource));
  }

  /** Takes over new options; those who wait already stay. */
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

  readonly isWaitedFor = (resource: Resource): boolean => (this.#lines.get(resource)?.length ?? 0) > 0;

  /** When to `poll` if nothing else happens; Infinity: no need. */
  get wakeAt(): Instant {
    if (this.#decided.length > 0) return -Infinity;
    return Math.min(this.#wakeAt, this.#room.looks.peekKey(), this.#expiry.peekKey());
  }

  /** The longest that anybody waiting has waited, in milliseconds, or a second more at most. However many wait, it costs the same. */
  oldestMs(now: Instant): number {
    return now - this.#arrivals.oldest(now);
  }

  /** Who waits for what, in so many groups at most. */
  survey(now: Instant, groupsMax: number): Survey<T, A> {
    return surveyOf(this.#room.looks, this.#length, groupsMax, (entry) => this.#newcomerAt(now, entry));
  }

  /** Starts, refuses or queues. After `wait`, poll: the newcomer may be first in line. */
  submit(now: Instant, applicant: A): Decision<T> {
    const rank = SCHEDULING_CLASSES.indexOf(applicant.class);
    if (rank < JOBS) this.#traffic.interactiveAt = now;
    if (this.#length === 0 && rank < JOBS) {
      const target = this.#evaluator.startable(now, applicant);
      if (target !== null) return this.#reserve(now, applicant, target);
    }
    const entry = this.#entry(now, applicant, rank);
    const look = this.#evaluator.evaluateNewcomer(entry, now, this.wakeAt <= now);
    if (look.place !== null) return this.#start(now, entry, look.place);
    if (!look.feasible) return refusal('infeasible', applicant, now, expectedStart(now, this.#shares, entry, look));
    if (this.#length >= this.#options.queueLengthMax) return this.#submitToFull(now, entry, look);
    this.#enqueue(now, entry, look);
    return { kind: 'wait' };
  }

  /** A newcomer to a full queue takes the place of one that gives way, or is refused. */
  #submitToFull(now: Instant, entry: Entry<T, A>, look: Look<T, A>): Decision<T> {
    const { rank, client } = entry.queue;
    const other = this.#places.givesWay(rank, client, this.#shares, this.#options.queueLengthMax);
    if (other === null) return refusal('queue_full', entry.applicant, now, expectedStart(now, this.#shares, entry, look));
    this.#refuse(now, other, 'queue_full');
    const again = this.#evaluator.evaluateNewcomer(entry, now, true);
    if (again.place !== null) return this.#start(now, entry, again.place);
    this.#enqueue(now, entry, again);
    return { kind: 'wait' };
  }

  /** Takes a waiting applicant out; false if it doesn't wait (any more). What it kept from others is free: `wakeAt` says so. */
  cancel(now: Instant, applicant: A): boolean {
    const entry = applicant.waiting as Entry<T, A> | null;
    if (entry === null) {
      const index = this.#decided.findIndex((decided) => decided.applicant === applicant);
      return index >= 0 && this.#decided.splice(index, 1).length > 0;
    }
    const wasFirst = entry.queue.entries.peek() === entry;
    this.#remove(now, entry);
    if (this.#length === 0) this.#wakeAt = Infinity;
    else if (wasFirst) this.#wakeAt = now;
    return true;
  }

  /** A better reader has joined a waiting request: it moves to where that one would stand. False if it doesn't wait. Poll after it. */
  raise(now: Instant, applicant: A, by: Raise): boolean {
    const entry = applicant.waiting as Entry<T, A> | null;
    if (entry === null) return false;
    const rank = Math.min(entry.queue.rank, by.class === undefined ? Infinity : SCHEDULING_CLASSES.indexOf(by.class));
    this.#remove(now, entry);
    entry.deadline = Math.min(entry.deadline, by.deadline ?? Infinity);
    entry.waitUntil = Math.max(entry.waitUntil, by.waitUntil ?? -Infinity);
    entry.queue = entry.queue.lane.queue(rank, applicant);
    this.#enqueue(now, entry, this.#evaluator.evaluate(entry, now, true));
    this.#wakeAt = now;
    return true;
  }

  /** Everything that can be decided now: starts, and refusals. `everyone`: a resource was changed from outside, so every queue is looked at. */
  poll(now: Instant, everyone = false): Decided<T, A>[] {
    if (everyone) this.#room.lookAtAll();
    if (this.#length > 0) this.#decide(now);
    const decided = this.#decided;
    this.#decided = [];
    return decided;
  }

  /** Requests have given way to newcomers; the next poll returns their refusals. */
  get hasDecided(): boolean {
    return this.#decided.length > 0;
  }

  #decide(now: Instant): void {
    this.#expire(now);
    this.#wakeAt = Infinity;
    this.#vainLooks = 0;
    for (const line of this.#room.active) line.holder = null;
    for (const line of this.#room.active) this.#open(now, line);
    for (;;) {
      this.#lookAtLines(now);
      const queue = this.#room.fresh.pop();
      if (queue === undefined) break;
      queue.isFresh = false;
      if (queue.entries.size > 0 && !queue.isLooked) this.#tryHead(now, queue);
    }
    for (const line of this.#room.active) {
      line.isOpen = false;
      line.putBack();
      this.#wakeAt = Math.min(this.#wakeAt, line.wakeAt);
    }
    if (this.#vainLooks >= VAIN_LOOKS_MAX) this.#wakeAt = now;
  }

  /** Refuses those whose wait is over; queues whose patience or backoff is over are to be looked at. */
  #expire(now: Instant): void {
    for (let entry = this.#expiry.peek(); entry !== undefined && entry.waitUntil <= now; entry = this.#expiry.peek()) {
      this.#refuse(now, entry, 'expired');
    }
    while (this.#room.looks.peekKey() <= now) {
      const queue = this.#room.looks.peek()!;
      const head = queue.entries.peek()!;
      if (head.expiryIndex < 0 && head.waitUntil <= now) this.#refuse(now, head, 'expired');
      else this.#room.lookAfresh(queue);
    }
  }

  /** Is anybody of this line to be looked at? If not, who keeps it from the others, and until when? */
  #open(now: Instant, line: Line<T, A>): void {
    line.wakeAt = Infinity;
    const front = line.front()!;
    line.isOpen = !front.queue.isLooked || this.#isOpenFor(now, front);
    if (!line.isOpen && front.holds) this.#room.keep(front.queue);
    else if (!line.isOpen) {
      line.isOpen = !isClosedForAll(line, now);
      if (this.#closesLonger(now, line, front)) for (const queue of line.queues()) this.#room.lookAfresh(queue);
    }
    if (line.isOpen) this.#room.isAnyOpen = true;
  }

  /** False if the resource is closed for the first of a queue; then the line is to be looked at again when it opens. */
  #isOpenFor(now: Instant, spot: Spot<T, A>): boolean {
    if (spot.place === null) return true;
    const at = spot.line.earliest(
      now,
      spot.queue.entries.peek()!.applicant.needOn(spot.place.target),
      spot.queue.rank,
      spot.queue.entries.peekKey(),
    );
    if (at > now) spot.line.wakeAt = Math.min(spot.line.wakeAt, at);
    return at !== WHEN_SETTLED && at <= now;
  }

  /** A breaker has opened again, or a pause was made longer: many may wait in vain now, and should hear of it at once. */
  #closesLonger(now: Instant, { resource }: Line<T, A>, front: Spot<T, A>): boolean {
    if (isHoldable(resource) || front.place === null) return false;
    const at = resource.earliest(now, front.queue.entries.peek()!.applicant.needOn(front.place.target));
    return at > Math.max(now, front.opensAt) + NEWS_MS;
  }

  /** Class by class over all lines, so that of two that open together the higher class is served first. */
  #lookAtLines(now: Instant): void {
    while (this.#room.isAnyOpen && this.#vainLooks < VAIN_LOOKS_MAX) {
      this.#room.isAnyOpen = false;
      for (let rank = 0; rank < SCHEDULING_CLASSES.length; rank++) {
        // From the end: where a line is left empty the last one takes its place, and that one has been looked at then.
        for (let i = this.#room.active.length - 1; i >= 0; i--) {
          const line = this.#room.active[i];
          if (line?.isOpen === true) this.#lookAlong(now, line, rank);
        }
      }
    }
  }

  /** Looks along an open line, as long as it is the turn of this class or a higher one. */
  #lookAlong(now: Instant, line: Line<T, A>, rank: number): void {
    while (this.#vainLooks < VAIN_LOOKS_MAX) {
      const spot = line.front();
      if (spot === null) break;
      const { queue } = spot;
      if (queue.rank > rank && line.turn(queue.rank) === queue.rank) return;
      if (!queue.isLooked || this.#isOpenFor(now, spot)) {
        if (this.#tryHead(now, queue)) continue;
        this.#vainLooks++;
        if (spot.index < 0) continue; // it waits in another line now
        if (spot.opensAt > now) line.wakeAt = Math.min(line.wakeAt, spot.opensAt);
      } else if (spot.holds) this.#room.keep(queue);
      if (spot.holds || line.asides.length >= LOOK_PAST_MAX || isClosedForAll(line, now)) break;
      line.setAside(spot);
    }
    line.isOpen = false;
  }

  /** Looks at the first of a queue. True if it is first no more: it started, was refused, or was set apart. */
  #tryHead(now: Instant, queue: Queue<T, A>): boolean {
    const entry = queue.entries.peek()!;
    const look = this.#evaluator.evaluate(entry, now, false);
    if (look.place !== null) {
      this.#decided.push({ applicant: entry.applicant, decision: this.#start(now, entry, look.place) });
      return true;
    }
    if (!look.feasible) {
      this.#refuse(now, entry, 'infeasible');
      if (queue.entries.size > 0) this.#room.lookAfresh(queue);
      return true;
    }
    this.#room.stand(now, queue, look);
    return this.#room.setApart(now, entry, look);
  }

  #entry(now: Instant, applicant: A, rank: number): Entry<T, A> {
    return {
      applicant,
      deadline: applicant.deadline,
      waitUntil: applicant.waitUntil,
      since: now,
      sequence: this.#sequence++,
      queue: this.#lane(applicant.tiers).queue(rank, applicant),
      orderIndex: -1,
      expiryIndex: -1,
      promisedOn: null,
      promisedOf: null,
      bucket: 0,
    };
  }

  #enqueue(now: Instant, entry: Entry<T, A>, look: Look<T, A>): void {
    const { queue } = entry;
    entry.applicant.waiting = entry;
    this.#length++;
    this.#places.add(entry);
    this.#arrivals.count(entry.since, 1);
    makePromise(now, entry, look);
    if (entry.waitUntil > entry.deadline && !queue.watchesAll) {
      queue.watchesAll = true;
      for (const other of queue.entries.items()) if (other.expiryIndex < 0) this.#watchWait(other);
    }
    if (entry.waitUntil !== entry.deadline || queue.watchesAll) this.#watchWait(entry);
    queue.entries.push(entry, entry.deadline, entry.sequence);
    if (queue.entries.peek() !== entry) return;
    if (queue.entries.size > 1) this.#room.headChanged(queue);
    this.#room.stand(now, queue, look);
    this.#room.setApart(now, entry, look);
    for (const spot of entry.queue.spots) if (spot.opensAt > now) this.#wakeAt = Math.min(this.#wakeAt, spot.opensAt);
  }

  /** The end of its wait is seen wherever in its queue it stands then. */
  #watchWait(entry: Entry<T, A>): void {
    this.#expiry.push(entry, entry.waitUntil, entry.sequence);
    entry.queue.expiring++;
  }

  /** Takes a waiting entry out of everything. */
  #remove(now: Instant, entry: Entry<T, A>): void {
    const { queue } = entry;
    const wasFirst = queue.entries.peek() === entry;
    countPromise(now, entry, -1);
    queue.entries.remove(entry.orderIndex);
    if (entry.expiryIndex >= 0) {
      this.#expiry.remove(entry.expiryIndex);
      queue.expiring--;
    }
    if (queue.entries.size === 0) queue.watchesAll = false;
    entry.applicant.waiting = null;
    this.#length--;
    this.#places.remove(entry);
    this.#arrivals.count(entry.since, -1);
    if (wasFirst) this.#room.headChanged(queue);
  }

  #refuse(now: Instant, entry: Entry<T, A>, why: Refusal['why']): void {
    this.#remove(now, entry);
    // Whoever comes again finds those who wait still: what is free soonest is not what a newcomer gets.
    const expected = expectedStart(now, this.#shares, entry, this.#evaluator.outlook(entry, now));
    this.#decided.push({ applicant: entry.applicant, decision: refusal(why, entry.applicant, now, expected) });
  }

  #start(now: Instant, entry: Entry<T, A>, place: Place<T, A>): Start<T> {
    const { applicant, queue } = entry;
    const { target, lines } = place;
    const start = this.#reserve(now, applicant, target);
    for (const line of lines) if (line.length > 0) line.noteStart(now, queue, start.permit.need, this.#shares);
    if (entry.orderIndex >= 0) {
      this.#remove(now, entry);
      exchangePromises(now, entry, place);
    }
    return start;
  }

  #reserve(now: Instant, applicant: A, target: T): Start<T> {
    const need = applicant.needOn(target);
    const permit = Permit.reserve(now, need, target.resources);
    const clientPermit = applicant.own.length === 0 ? null : Permit.reserve(now, need, applicant.own);
    this.#options.onStart?.(target, now);
    return { kind: 'start', target, permit, clientPermit };
  }

  /** When one that asks now for the same, with as much time, would start. */
  #newcomerAt(now: Instant, { applicant, deadline, since, queue }: Entry<T, A>): Instant | null {
    const entry = { ...this.#entry(now, applicant, queue.rank), deadline: deadline + now - since, waitUntil: Infinity };
    const look = this.#evaluator.evaluate(entry, now, true);
    return look.place === null ? expectedStart(now, this.#shares, entry, look) : now;
  }

  #lane(tiers: Applicant<T>['tiers']): Lane<T, A> {
    let lane = this.#lanes.get(tiers);
    if (lane === undefined) {
      const place = (target: T): Place<T, A> => ({ target, lines: target.resources.map((resource) => this.#lineOf(resource)) });
      lane = new Lane<T, A>(tiers.map((tier) => tier.map(place)));
      this.#lanes.set(tiers, lane);
    }
    return lane;
  }

  #lineOf(resource: Resource): Line<T, A> {
    let line = this.#lines.get(resource);
    if (line === undefined) this.#lines.set(resource, (line = new ResourceLine<T, A>(resource, this.#traffic)));
    return line;
  }
}
