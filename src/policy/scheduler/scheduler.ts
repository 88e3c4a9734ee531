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
 * A newcomer is told at once if it can't start in time. For that each line knows how much is promised to those before it
 * (`promises.ts`): a lower bound, so that nobody is refused who would have started. A promise is never taken back for somebody who
 * came later.
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
import { Evaluator, isClosed, isClosedForAll, isHoldable, opensForSome } from './evaluate.ts';
import type { Look } from './evaluate.ts';
import { IndexedHeap } from './indexed-heap.ts';
import { Lane, Queue } from './lane.ts';
import type { Entry, Place } from './lane.ts';
import { Line } from './line.ts';
import type { Spot } from './line.ts';
import { bucketOf } from './promises.ts';
import { refusal } from './refusal.ts';
import type { Applicant, Choose, Decided, Decision, Raise, Refusal, Start } from './types.ts';

export interface SchedulerOptions<T extends Capacity, A extends Applicant<T>> {
  /** At most this many wait; one more is refused with `queue_full`. */
  readonly queueLengthMax: number;
  /** Share of starts on a resource that a waiting class keeps while higher ones are served, by class; absent: none. */
  readonly minShare: Readonly<Partial<Record<SchedulingClass, number>>>;
  readonly choose: Choose<T, A>;
  /** Told of every start, chosen or the only one that could: what `choose` goes by may depend on it. */
  readonly onStart?: (target: T) => void;
}

/**
 * So many are looked past in one line, or out of one queue, where what keeps each of them back concerns it alone. Beyond that
 * those behind wait until one of these moves.
 */
const LOOK_PAST_MAX = 16;
/** So many are looked at in vain in one poll; the next one goes on. */
const VAIN_LOOKS_MAX = 4096;

export class Scheduler<T extends Capacity, A extends Applicant<T>> {
  #options: SchedulerOptions<T, A>;
  #shares: readonly number[];
  readonly #evaluator: Evaluator<T, A>;
  readonly #lanes = new WeakMap<Applicant<T>['tiers'], Lane<T, A>>();
  readonly #lines = new WeakMap<Resource, Line<T, A>>();
  /** Lines in which somebody stands. */
  readonly #active: Line<T, A>[] = [];
  /** Queues that are to be looked at by themselves: the end of a wait, a patience, a backoff. */
  readonly #looks = new IndexedHeap<Queue<T, A>>((queue, index) => (queue.lookIndex = index));
  /** Those whose wait ends apart from their deadline. */
  readonly #expiry = new IndexedHeap<Entry<T, A>>((entry, index) => (entry.expiryIndex = index));
  readonly #waiting = SCHEDULING_CLASSES.map(() => 0);
  #length = 0;
  #sequence = 0;
  #look = 0;
  #wakeAt: Instant = Infinity;
  #vainLooks = 0;
  #isAnyOpen = false;
  /** Queues that are to be looked at whatever the lines do. */
  readonly #fresh: Queue<T, A>[] = [];
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
    return this.#waiting[SCHEDULING_CLASSES.indexOf(schedulingClass)]!;
  }

  /** When to `poll` if nothing else happens; Infinity: no need. */
  get wakeAt(): Instant {
    return Math.min(this.#wakeAt, this.#looks.peekKey(), this.#expiry.peekKey());
  }

  /** The longest that anybody waiting has waited, in milliseconds. O(n): for status pages. */
  oldestMs(now: Instant): number {
    let oldest = now;
    for (const queue of this.#looks.items()) for (const entry of queue.entries.items()) oldest = Math.min(oldest, entry.since);
    return now - oldest;
  }

  /** Starts, refuses or queues. After `wait`, poll: the newcomer may be first in line. */
  submit(now: Instant, applicant: A): Decision<T> {
    const rank = SCHEDULING_CLASSES.indexOf(applicant.class);
    if (applicant.deadline <= now) return refusal('expired', applicant, now);
    if (this.#length === 0) {
      const target = this.#evaluator.startable(now, applicant);
      if (target !== null) return this.#reserve(now, applicant, target);
    }
    const entry = this.#entry(now, applicant, rank);
    this.#evaluator.isOverdue = this.wakeAt <= now;
    const look = this.#evaluator.evaluate(entry, now, true);
    this.#evaluator.isOverdue = false;
    if (look.place !== null) return this.#start(now, entry, look.place);
    if (!look.feasible) return refusal('infeasible', applicant, now, this.#expected(now, entry, look));
    if (this.#length >= this.#options.queueLengthMax) return refusal('queue_full', applicant, now);
    this.#enqueue(now, entry, look);
    return { kind: 'wait' };
  }

  /** Takes a waiting applicant out; false if it doesn't wait (any more). What it kept from others is free: `wakeAt` says so. */
  cancel(now: Instant, applicant: A): boolean {
    const entry = applicant.waiting as Entry<T, A> | null;
    if (entry === null) return false;
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

  /** Everything that can be decided now: starts, and refusals of those whose wait is over or has become hopeless. */
  poll(now: Instant): Decided<T, A>[] {
    const decided: Decided<T, A>[] = (this.#decided = []);
    if (this.#length === 0) return decided;
    this.#expire(now);
    this.#wakeAt = Infinity;
    this.#vainLooks = 0;
    for (const line of this.#active) line.holder = null;
    for (const line of this.#active) this.#open(now, line);
    for (;;) {
      this.#lookAtLines(now);
      const queue = this.#fresh.pop();
      if (queue === undefined) break;
      queue.isFresh = false;
      if (queue.entries.size > 0 && !queue.isLooked) this.#tryHead(now, queue);
    }
    for (const line of this.#active) {
      line.isOpen = false;
      line.putBack();
      this.#wakeAt = Math.min(this.#wakeAt, line.wakeAt);
    }
    if (this.#vainLooks >= VAIN_LOOKS_MAX) this.#wakeAt = now;
    return decided;
  }

  /** Refuses those whose wait is over; queues whose patience or backoff is over are to be looked at. */
  #expire(now: Instant): void {
    for (let entry = this.#expiry.peek(); entry !== undefined && entry.waitUntil <= now; entry = this.#expiry.peek()) {
      this.#refuse(now, entry, 'expired');
    }
    while (this.#looks.peekKey() <= now) {
      const queue = this.#looks.peek()!;
      const head = queue.entries.peek()!;
      if (head.expiryIndex < 0 && head.waitUntil <= now) this.#refuse(now, head, 'expired');
      else this.#lookAfresh(queue);
    }
  }

  /** Is anybody of this line to be looked at? If not, who keeps it from the others, and until when? */
  #open(now: Instant, line: Line<T, A>): void {
    line.wakeAt = Infinity;
    const front = line.front()!;
    line.isOpen = !front.queue.isLooked || this.#isOpenFor(now, front);
    if (!line.isOpen && front.holds) this.#keep(front.queue);
    else if (!line.isOpen) line.isOpen = !isClosedForAll(line, now);
    if (line.isOpen) this.#isAnyOpen = true;
  }

  /** False if the resource is closed for the first of a queue; then the line is to be looked at again when it opens. */
  #isOpenFor(now: Instant, spot: Spot<T, A>): boolean {
    if (spot.place === null) return true;
    const at = spot.line.resource.earliest(now, spot.queue.entries.peek()!.applicant.needOn(spot.place.target));
    if (at > now) spot.line.wakeAt = Math.min(spot.line.wakeAt, at);
    return at !== WHEN_SETTLED && at <= now;
  }

  /** Class by class over all lines, so that of two that open together the higher class is served first. */
  #lookAtLines(now: Instant): void {
    while (this.#isAnyOpen && this.#vainLooks < VAIN_LOOKS_MAX) {
      this.#isAnyOpen = false;
      for (let rank = 0; rank < SCHEDULING_CLASSES.length; rank++) {
        for (let i = 0; i < this.#active.length; i++) if (this.#active[i]!.isOpen) this.#lookAlong(now, this.#active[i]!, rank);
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
      } else if (spot.holds) this.#keep(queue);
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
      return true;
    }
    this.#stand(now, queue, look);
    return this.#setApart(now, entry, look);
  }

  /** Puts a queue into the lines that its first request waits in, and out of all others. */
  #stand(now: Instant, queue: Queue<T, A>, look: Look<T, A>): void {
    const { waitsFor } = look;
    const mark = ++this.#look;
    if (queue.holdsOn !== waitsFor) for (const spot of queue.spots) spot.holds = false;
    queue.holdsOn = waitsFor;
    for (let i = 0; i < look.lines.length; i++) {
      const spot = this.#spot(queue, look.lines[i]!, mark);
      spot.place = look.places[i]!;
      spot.opensAt = look.opensAt[i]!;
    }
    if (waitsFor !== null) this.#hold(now, queue, waitsFor, mark);
    for (let i = queue.spots.length - 1; i >= 0; i--) {
      const spot = queue.spots[i]!;
      if (spot.look === mark) continue;
      this.#leave(spot);
      queue.spots[i] = queue.spots.at(-1)!;
      queue.spots.pop();
    }
    for (const { line, opensAt } of queue.spots) if (opensAt > now) line.wakeAt = Math.min(line.wakeAt, opensAt);
    queue.isLooked = true;
    this.#lookNotBefore(queue, look.wakeAt);
    if (waitsFor !== null) this.#keep(queue);
  }

  /** What it lacks on the target that it waits for it keeps, from now until it starts there or waits for another. */
  #hold(now: Instant, queue: Queue<T, A>, { target, lines }: Place<T, A>, mark: number): void {
    const need = queue.entries.peek()!.applicant.needOn(target);
    for (const line of lines) {
      if (!isHoldable(line.resource)) continue;
      const known = queue.spots.find((spot) => spot.line === line);
      if (known?.holds !== true && !isClosed(line.resource, now, need)) continue;
      const spot = this.#spot(queue, line, mark);
      spot.holds = true;
      if (spot !== known) spot.opensAt = line.resource.earliest(now, need);
    }
  }

  /** Those behind it may not take what it holds. */
  #keep(queue: Queue<T, A>): void {
    for (const spot of queue.spots) {
      if (!spot.holds) continue;
      const holder = spot.line.holder;
      if (holder === null || spot.line.goesBefore(spot, holder.queue.entries.peek()!)) spot.line.holder = spot;
    }
  }

  #spot(queue: Queue<T, A>, line: Line<T, A>, mark: number): Spot<T, A> {
    let spot = queue.spots.find((each) => each.line === line);
    if (spot === undefined) {
      spot = line.enter(queue);
      queue.spots.push(spot);
      if (line.index < 0) {
        line.index = this.#active.push(line) - 1;
        line.wakeAt = Infinity;
      }
    }
    spot.look = mark;
    return spot;
  }

  #leave(spot: Spot<T, A>): void {
    const { line } = spot;
    line.leave(spot);
    if (line.length > 0) return this.#openLine(line);
    const last = this.#active.pop()!;
    if (last !== line) this.#active[(last.index = line.index)] = last;
    line.index = -1;
    line.isOpen = false;
  }

  #openLine(line: Line<T, A>): void {
    line.isOpen = true;
    this.#isAnyOpen = true;
  }

  /** Something of its own keeps it back where another of its queue might start: those behind it are looked at too. */
  #setApart(now: Instant, entry: Entry<T, A>, look: Look<T, A>): boolean {
    const { queue } = entry;
    if (queue.apartFrom !== null || queue.apart >= LOOK_PAST_MAX || look.ownBlocked || !opensForSome(queue.lane, now)) return false;
    queue.apart++;
    queue.entries.remove(entry.orderIndex);
    const isExpiring = entry.expiryIndex >= 0 ? 1 : 0;
    queue.expiring -= isExpiring;
    entry.queue = new Queue<T, A>(queue.lane, queue.rank, queue.client, queue);
    entry.queue.expiring = isExpiring;
    for (const { line } of queue.flows) line.flow(entry.queue);
    entry.queue.entries.push(entry, entry.deadline, entry.sequence);
    this.#headChanged(queue);
    this.#stand(now, entry.queue, look);
    return true;
  }

  /** Somebody else is first in the queue, or nobody. */
  #headChanged(queue: Queue<T, A>): void {
    queue.isLooked = false;
    queue.holdsOn = null;
    if (queue.entries.size > 0) {
      for (const spot of queue.spots) {
        spot.holds = false;
        spot.line.rekey(spot);
        this.#openLine(spot.line);
      }
      this.#lookNotBefore(queue, Infinity);
      if (queue.lane.single === null || queue.spots.length === 0) this.#lookAfresh(queue);
      return;
    }
    for (const spot of queue.spots) this.#leave(spot);
    for (const { flow } of queue.flows) flow.uses--;
    queue.spots.length = queue.flows.length = 0;
    if (queue.lookIndex >= 0) this.#looks.remove(queue.lookIndex);
    if (queue.apartFrom === null) return;
    queue.apartFrom.apart--;
    if (queue.apartFrom.entries.size > 0) this.#lookAfresh(queue.apartFrom);
  }

  /** To be looked at in this poll, or in the next one. */
  #lookAfresh(queue: Queue<T, A>): void {
    queue.isLooked = false;
    this.#lookNotBefore(queue, Infinity);
    if (queue.isFresh) return;
    queue.isFresh = true;
    this.#fresh.push(queue);
  }

  /** Sets the time at which a queue is looked at by itself: then, or when the wait of its first request ends. */
  #lookNotBefore(queue: Queue<T, A>, at: Instant): void {
    const { entries, expiring } = queue;
    const until = expiring > 0 && entries.peek()!.expiryIndex >= 0 ? at : Math.min(at, entries.peekKey());
    if (queue.lookIndex < 0) this.#looks.push(queue, until, 0);
    else this.#looks.update(queue.lookIndex, until, 0);
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
    this.#waiting[queue.rank]!++;
    this.#promise(now, entry, look);
    if (entry.waitUntil !== entry.deadline) {
      this.#expiry.push(entry, entry.waitUntil, entry.sequence);
      queue.expiring++;
    }
    queue.entries.push(entry, entry.deadline, entry.sequence);
    if (queue.entries.peek() !== entry) return;
    if (queue.entries.size > 1) this.#headChanged(queue);
    this.#stand(now, queue, look);
    this.#setApart(now, entry, look);
    for (const spot of entry.queue.spots) if (spot.opensAt > now) this.#wakeAt = Math.min(this.#wakeAt, spot.opensAt);
  }

  /** Takes a waiting entry out of everything. */
  #remove(now: Instant, entry: Entry<T, A>): void {
    const { queue } = entry;
    const wasFirst = queue.entries.peek() === entry;
    this.#count(now, entry, -1);
    queue.entries.remove(entry.orderIndex);
    if (entry.expiryIndex >= 0) {
      this.#expiry.remove(entry.expiryIndex);
      queue.expiring--;
    }
    entry.applicant.waiting = null;
    this.#length--;
    this.#waiting[queue.rank]!--;
    if (wasFirst) this.#headChanged(queue);
  }

  #refuse(now: Instant, entry: Entry<T, A>, why: Refusal['why']): void {
    this.#remove(now, entry);
    this.#decided.push({ applicant: entry.applicant, decision: refusal(why, entry.applicant, now) });
  }

  #start(now: Instant, entry: Entry<T, A>, { target, lines }: Place<T, A>): Start<T> {
    const { applicant, queue } = entry;
    const start = this.#reserve(now, applicant, target);
    const { inputTokens, outputTokens } = start.permit.need;
    for (const line of lines) if (line.length > 0) line.noteStart(now, queue, inputTokens + outputTokens, this.#shares);
    if (entry.orderIndex >= 0) this.#remove(now, entry);
    return start;
  }

  #reserve(now: Instant, applicant: A, target: T): Start<T> {
    const need = applicant.needOn(target);
    const permit = Permit.reserve(now, need, target.resources);
    const clientPermit = applicant.own.length === 0 ? null : Permit.reserve(now, need, applicant.own);
    this.#options.onStart?.(target);
    return { kind: 'start', target, permit, clientPermit };
  }

  /**
   * It is counted on to take what is scarcest of the target on which it will start soonest: those who come after it are judged by
   * what is left. Of what it will use besides there is enough, or it comes to that too late to be in anybody's way.
   */
  #promise(now: Instant, entry: Entry<T, A>, look: Look<T, A>): void {
    entry.promisedOn = look.soonest;
    entry.promisedOf = look.scarcest;
    entry.bucket = bucketOf(now, entry.deadline);
    this.#count(now, entry, 1);
  }

  #count(now: Instant, entry: Entry<T, A>, sign: 1 | -1): void {
    const { promisedOf, promisedOn } = entry;
    if (promisedOf !== null) promisedOf.promise(now, entry, entry.applicant.needOn(promisedOn!.target), sign);
  }

  /** When it would start at the pace at which others do. */
  #expected(now: Instant, entry: Entry<T, A>, { soonest, soonestAt }: Look<T, A>): Instant | null {
    if (soonest === null) return null;
    let expected = soonestAt;
    const need = entry.applicant.needOn(soonest.target);
    for (const line of soonest.lines)
      if (isHoldable(line.resource)) expected = Math.max(expected, line.expect(now, entry, need, this.#shares, false));
    return expected > now ? expected : null;
  }

  #lane(tiers: Applicant<T>['tiers']): Lane<T, A> {
    let lane = this.#lanes.get(tiers);
    if (lane === undefined) {
      const place = (target: T): Place<T, A> => ({ target, lines: target.resources.map((resource) => this.#lineOf(resource)) });
      lane = new Lane<T, A>(tiers.map((tier) => (tier as readonly T[]).map(place)));
      this.#lanes.set(tiers, lane);
    }
    return lane;
  }

  #lineOf(resource: Resource): Line<T, A> {
    let line = this.#lines.get(resource);
    if (line === undefined) this.#lines.set(resource, (line = new Line<T, A>(resource)));
    return line;
  }
}

function sharesOf(minShare: Readonly<Partial<Record<SchedulingClass, number>>>): number[] {
  return SCHEDULING_CLASSES.map((name) => minShare[name] ?? 0);
}
