/**
 * One queue for capacity that is not ours (design 4.1).
 *
 * Waiting requests that may run on the same targets share a lane; in a lane there is a queue for each class, in it the
 * clients by what they have used, and in a client the earliest deadline first. When something frees up, the heads of
 * the lanes are looked at in order; whoever can't start keeps what it lacks from those behind it, so small requests
 * never starve a large one; what it doesn't keep they may take. Strict priority is bent only by `minShare`: every start
 * earns each waiting class its share of one, and with a whole one saved up a class goes first.
 *
 * Pure and synchronous: `now` is given, no timers, no calls up. `submit` and `poll` return what was decided;
 * `wakeAt` says when to poll next if no permit is closed before.
 */
import type { Instant } from '../../core/clock.ts';
import { Permit } from '../../core/permit.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Capacity, Resource } from '../../core/resource.ts';
import { evaluate, missingCapacity, opensAt, refusal } from './evaluate.ts';
import type { Evaluation } from './evaluate.ts';
import { IndexedHeap } from './indexed-heap.ts';
import { ClassQueue, isDueBefore } from './lane.ts';
import type { ClientQueue, Entry, Lane } from './lane.ts';
import type { Applicant, Choose, Decided, Decision, Start } from './types.ts';

export interface SchedulerOptions<T extends Capacity, A extends Applicant<T>> {
  /** At most this many wait; one more is refused with `queue_full`. */
  readonly queueLengthMax: number;
  /** Share of starts that a waiting class keeps while higher ones are served, by class; absent: none. */
  readonly minShare: Readonly<Partial<Record<SchedulingClass, number>>>;
  readonly choose: Choose<T, A>;
  /** Told of every start, chosen or the only one that could: what `choose` goes by may depend on it. */
  readonly onStart?: (target: T) => void;
}

/**
 * At most so many of one class in one lane are looked past in one poll where what holds each of them back concerns it
 * alone (its size, its patience, its own backoff). Beyond that those behind wait until one of these moves.
 */
const LOOK_PAST_MAX = 16;

/** Credit is a sum of shares: twenty times 0.05 is a whole start. */
const WHOLE_START = 1 - 1e-9;
/** A class can't save up more starts than this while nothing of it could start. */
const CREDIT_MAX = 2;
/** A holder with a whole start earned is passed by nobody: it stands before the highest class. */
const BEFORE_ALL = -1;

interface Pass<T extends Capacity, A extends Applicant<T>> {
  readonly now: Instant;
  readonly decided: Decided<T, A>[];
  /** Lanes still worth looking at, by rank; the one whose head is due first stands last. */
  readonly active: Lane<T, A>[][];
  readonly entriesAside: { entry: Entry<T, A>; virtualTime: number }[];
  readonly clientsAside: { queue: ClassQueue<T, A>; client: ClientQueue<T, A> }[];
  /** How many were looked past in a class of a lane. */
  readonly lookedPast: Map<ClassQueue<T, A>, number>;
}

export class Scheduler<T extends Capacity, A extends Applicant<T>> {
  #options: SchedulerOptions<T, A>;
  readonly #lanes = new Map<Applicant<T>['tiers'], Lane<T, A>>();
  readonly #entries = new Map<A, Entry<T, A>>();
  readonly #expiry = new IndexedHeap<Entry<T, A>>((entry, index) => (entry.expiryIndex = index));
  /** Who keeps a resource from those behind it: the best rank among the holders. */
  readonly #held = new Map<Resource, number>();
  readonly #waiting = SCHEDULING_CLASSES.map(() => 0);
  /** Starts that a lower class has earned, by rank. */
  readonly #credit = SCHEDULING_CLASSES.map(() => 0);
  #sequence = 0;
  #wakeAt: Instant = Infinity;

  constructor(options: SchedulerOptions<T, A>) {
    this.#options = options;
  }

  /** Takes over new options; those who wait already stay. */
  configure(options: SchedulerOptions<T, A>): void {
    this.#options = options;
  }

  get length(): number {
    return this.#entries.size;
  }

  waiting(schedulingClass: SchedulingClass): number {
    return this.#waiting[SCHEDULING_CLASSES.indexOf(schedulingClass)]!;
  }

  /** When to `poll` if nothing else happens; Infinity: no need. */
  get wakeAt(): Instant {
    return Math.min(this.#wakeAt, this.#expiry.peek()?.applicant.waitUntil ?? Infinity);
  }

  /** The longest that anybody waiting has waited, in milliseconds. O(n): for status pages. */
  oldestMs(now: Instant): number {
    let oldest = now;
    for (const entry of this.#entries.values()) oldest = Math.min(oldest, entry.since);
    return now - oldest;
  }

  /** Starts, refuses or queues. After `wait`, poll: the newcomer may be first in line. */
  submit(now: Instant, applicant: A): Decision<T> {
    const rank = SCHEDULING_CLASSES.indexOf(applicant.class);
    if (applicant.deadline <= now) return refusal('expired', applicant, now);
    const lane = this.#lanes.get(applicant.tiers);
    const found = evaluate(applicant, now, now, (resource) => this.#isHeldFrom(resource, rank), this.#options.choose);
    if (lane === undefined && found.target !== null) return this.#start(now, applicant, rank, found.target);
    if (!found.feasible) return refusal('infeasible', applicant, now);
    if (this.#entries.size >= this.#options.queueLengthMax) return refusal('queue_full', applicant, now);
    this.#enqueue(now, applicant, rank, found);
    return { kind: 'wait' };
  }

  /** Takes a waiting applicant out; false if it doesn't wait (any more). What it kept from others is free: `wakeAt` says so. */
  cancel(applicant: A): boolean {
    const entry = this.#entries.get(applicant);
    if (entry === undefined) return false;
    this.#remove(entry);
    this.#wakeAt = this.#entries.size === 0 ? Infinity : Math.min(this.#wakeAt, entry.since);
    return true;
  }

  /** Everything that can be decided now: starts, and refusals of those whose wait is over or has become hopeless. */
  poll(now: Instant): Decided<T, A>[] {
    const active = SCHEDULING_CLASSES.map((): Lane<T, A>[] => []);
    const pass: Pass<T, A> = { now, decided: [], active, entriesAside: [], clientsAside: [], lookedPast: new Map() };
    this.#expire(pass);
    this.#held.clear();
    this.#wakeAt = Infinity;
    for (const lane of this.#lanes.values()) {
      for (let rank = 0; rank < lane.classes.length; rank++) if (!lane.classes[rank]!.isEmpty) pass.active[rank]!.push(lane);
    }
    for (let rank = 0; rank < active.length; rank++) active[rank]!.sort((a, b) => (isLaneDueBefore(a, b, rank) ? 1 : -1));
    for (let rank = this.#nextRank(pass); rank !== null; rank = this.#nextRank(pass)) this.#tryHead(pass, rank);
    for (const { entry, virtualTime } of pass.entriesAside) entry.lane.classes[entry.rank]!.add(entry, virtualTime);
    for (const { queue, client } of pass.clientsAside) queue.putClientBack(client);
    return pass.decided;
  }

  #expire(pass: Pass<T, A>): void {
    for (let entry = this.#expiry.peek(); entry !== undefined && entry.applicant.waitUntil <= pass.now; entry = this.#expiry.peek()) {
      this.#remove(entry);
      pass.decided.push({ applicant: entry.applicant, decision: refusal('expired', entry.applicant, pass.now) });
    }
  }

  /** The class whose turn it is: one that has earned a whole start, else the highest. */
  #nextRank(pass: Pass<T, A>): number | null {
    let highest: number | null = null;
    for (let rank = pass.active.length - 1; rank >= 0; rank--) {
      if (pass.active[rank]!.length === 0) continue;
      if (this.#credit[rank]! >= WHOLE_START) return rank;
      highest = rank;
    }
    return highest;
  }

  #tryHead(pass: Pass<T, A>, rank: number): void {
    const lanes = pass.active[rank]!;
    const lane = lanes.pop()!;
    const entry = lane.classes[rank]!.head()!;
    const found = evaluate(entry.applicant, entry.since, pass.now, this.#isHeld, this.#options.choose);
    if (found.target !== null) {
      this.#remove(entry, found.target);
      pass.decided.push({ applicant: entry.applicant, decision: this.#start(pass.now, entry.applicant, rank, found.target) });
    } else if (!found.feasible) {
      this.#remove(entry);
      pass.decided.push({ applicant: entry.applicant, decision: refusal('infeasible', entry.applicant, pass.now) });
    } else {
      this.#hold(entry, found, pass.now);
      if (!this.#mayPass(pass, lane, rank)) return;
      this.#passOver(pass, entry, found);
    }
    if (lane.classes[rank]!.head() !== undefined) insertLane(lanes, lane, rank);
  }

  readonly #isHeld = (resource: Resource): boolean => this.#held.has(resource);

  /** What it lacks on the target that it waits for is kept from those behind it. */
  #hold(entry: Entry<T, A>, found: Evaluation<T>, now: Instant): void {
    this.#wakeAt = Math.min(this.#wakeAt, found.wakeAt);
    if (found.waitsFor === null || found.ownBlocked) {
      entry.holds = entry.holdsOn = null;
      return;
    }
    if (found.waitsFor !== entry.holdsOn) {
      entry.holds = new Set();
      entry.holdsOn = found.waitsFor;
    }
    for (const resource of missingCapacity(entry.applicant, found.waitsFor, now)) entry.holds!.add(resource);
    const rank = this.#credit[entry.rank]! >= WHOLE_START ? BEFORE_ALL : entry.rank;
    for (const resource of entry.holds!) this.#held.set(resource, Math.min(rank, this.#held.get(resource) ?? Infinity));
  }

  /** Lets those behind it be looked at in this pass. */
  #passOver(pass: Pass<T, A>, entry: Entry<T, A>, found: Evaluation<T>): void {
    const queue = entry.lane.classes[entry.rank]!;
    if (found.ownBlocked) {
      pass.clientsAside.push({ queue, client: queue.setClientAside() });
    } else {
      pass.lookedPast.set(queue, (pass.lookedPast.get(queue) ?? 0) + 1);
      pass.entriesAside.push({ entry, virtualTime: queue.setAside(entry) });
    }
  }

  /** False if it is no use to look at more of this class in this lane: nobody could start, or enough were passed. */
  #mayPass(pass: Pass<T, A>, lane: Lane<T, A>, rank: number): boolean {
    const opens = opensAt(lane.tiers, pass.now, this.#isHeld);
    if (opens <= pass.now) return (pass.lookedPast.get(lane.classes[rank]!) ?? 0) < LOOK_PAST_MAX;
    this.#wakeAt = Math.min(this.#wakeAt, opens);
    return false;
  }

  /** A newcomer passes a holder of a lower class, nobody else. */
  #isHeldFrom(resource: Resource, rank: number): boolean {
    const holder = this.#held.get(resource);
    return holder !== undefined && holder <= rank;
  }

  #start(now: Instant, applicant: A, rank: number, target: T): Start<T> {
    const need = applicant.needOn(target);
    const permit = Permit.reserve(now, need, target.resources);
    const clientPermit = applicant.own.length === 0 ? null : Permit.reserve(now, need, applicant.own);
    this.#options.onStart?.(target);
    this.#credit[rank] = Math.max(0, this.#credit[rank]! - 1);
    for (let earning = 0; earning < this.#credit.length; earning++) {
      const share = this.#options.minShare[SCHEDULING_CLASSES[earning]!] ?? 0;
      if (this.#waiting[earning]! > 0) this.#credit[earning] = Math.min(CREDIT_MAX, this.#credit[earning]! + share);
    }
    return { kind: 'start', target, permit, clientPermit };
  }

  #enqueue(now: Instant, applicant: A, rank: number, found: Evaluation<T>): void {
    let lane = this.#lanes.get(applicant.tiers);
    if (lane === undefined) {
      lane = { tiers: applicant.tiers, classes: SCHEDULING_CLASSES.map(() => new ClassQueue<T, A>()), size: 0 };
      this.#lanes.set(applicant.tiers, lane);
    }
    const entry: Entry<T, A> = {
      applicant,
      deadline: applicant.deadline,
      rank,
      since: now,
      sequence: this.#sequence++,
      lane,
      queue: null,
      orderIndex: -1,
      expiryIndex: -1,
      holds: null,
      holdsOn: null,
    };
    lane.classes[rank]!.add(entry);
    lane.size++;
    this.#entries.set(applicant, entry);
    this.#expiry.push(entry, applicant.waitUntil, entry.sequence);
    this.#waiting[rank]!++;
    this.#wakeAt = Math.min(this.#wakeAt, found.target === null ? found.wakeAt : now);
  }

  #remove(entry: Entry<T, A>, startsOn?: T): void {
    const queue = entry.lane.classes[entry.rank]!;
    if (startsOn === undefined) queue.remove(entry);
    else {
      const need = entry.applicant.needOn(startsOn);
      queue.start(entry, need.inputTokens + need.outputTokens);
    }
    this.#expiry.removeAt(entry.expiryIndex);
    this.#entries.delete(entry.applicant);
    this.#waiting[entry.rank]!--;
    if (this.#waiting[entry.rank] === 0) this.#credit[entry.rank] = 0;
    if (--entry.lane.size === 0) this.#lanes.delete(entry.lane.tiers);
  }
}

function isLaneDueBefore<T extends Capacity, A extends Applicant<T>>(a: Lane<T, A>, b: Lane<T, A>, rank: number): boolean {
  return isDueBefore(a.classes[rank]!.head()!, b.classes[rank]!.head()!);
}

/** Keeps the order: the lane whose head is due first stands last. */
function insertLane<T extends Capacity, A extends Applicant<T>>(lanes: Lane<T, A>[], lane: Lane<T, A>, rank: number): void {
  let [low, high] = [0, lanes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isLaneDueBefore(lane, lanes[middle]!, rank)) low = middle + 1;
    else high = middle;
  }
  lanes.splice(low, 0, lane);
}
