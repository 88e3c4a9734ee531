/**
 * One queue for capacity that is not ours (design 4.1).
 *
 * Waiting requests that may run on the same targets share a lane; in a lane there is a queue for each class, in it the
 * clients by what they have used, and in a client the earliest deadline first. When something frees up, the heads of
 * the lanes are looked at in order; whoever can't start keeps what blocks it from those behind it, so small requests
 * never starve a large one. Strict priority is bent only by `minShare`: every start of a higher class earns a waiting
 * lower class its share of a start, and with a whole one saved up it goes first.
 *
 * Pure and synchronous: `now` is given, no timers, no calls up. `submit` and `poll` return what was decided;
 * `wakeAt` says when to poll next if no permit is closed before.
 */
import type { Instant } from '../../core/clock.ts';
import { Permit } from '../../core/permit.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Capacity, Resource } from '../../core/resource.ts';
import { evaluate, refusal } from './evaluate.ts';
import type { Evaluation } from './evaluate.ts';
import { IndexedHeap } from './indexed-heap.ts';
import { ClassQueue, isDueBefore } from './lane.ts';
import type { ClientQueue, Entry, Lane } from './lane.ts';
import type { Applicant, Choose, Decided, Decision, Refusal, Start } from './types.ts';

export interface SchedulerOptions<T extends Capacity, A extends Applicant<T>> {
  /** At most this many wait; one more is refused with `queue_full`. */
  readonly queueLengthMax: number;
  /** Share of starts that a waiting class keeps while higher ones are served, by class; absent: none. */
  readonly minShare: Readonly<Partial<Record<SchedulingClass, number>>>;
  readonly choose: Choose<T, A>;
}

interface Pass<T extends Capacity, A extends Applicant<T>> {
  readonly now: Instant;
  readonly decided: Decided<T, A>[];
  /** Lanes still worth looking at, by rank. */
  readonly active: Lane<T, A>[][];
  readonly aside: { queue: ClassQueue<T, A>; client: ClientQueue<T, A> }[];
}

export class Scheduler<T extends Capacity, A extends Applicant<T>> {
  #options: SchedulerOptions<T, A>;
  readonly #lanes = new Map<Applicant<T>['tiers'], Lane<T, A>>();
  readonly #entries = new Map<A, Entry<T, A>>();
  readonly #expiry = new IndexedHeap<Entry<T, A>>(
    (a, b) => a.applicant.waitUntil < b.applicant.waitUntil,
    (entry, index) => (entry.expiryIndex = index),
  );
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
    const lane = this.#lanes.get(applicant.tiers);
    const found = evaluate(applicant, now, now, (resource) => this.#isHeldFrom(resource, rank), this.#options.choose);
    if (lane === undefined && found.target !== null) return this.#start(now, applicant, rank, found.target);
    if (!found.feasible) return refusal('infeasible', applicant, now);
    if (this.#entries.size >= this.#options.queueLengthMax) return refusal('queue_full', applicant, now);
    this.#enqueue(now, applicant, rank, found);
    return { kind: 'wait' };
  }

  /** Takes a waiting applicant out; false if it doesn't wait (any more). */
  cancel(applicant: A): boolean {
    const entry = this.#entries.get(applicant);
    if (entry === undefined) return false;
    this.#remove(entry);
    return true;
  }

  /** Everything that can be decided now: starts, and refusals of those whose wait is over or has become hopeless. */
  poll(now: Instant): Decided<T, A>[] {
    const pass: Pass<T, A> = { now, decided: [], active: SCHEDULING_CLASSES.map(() => []), aside: [] };
    this.#expire(pass);
    this.#held.clear();
    this.#wakeAt = Infinity;
    for (const lane of this.#lanes.values()) {
      for (let rank = 0; rank < lane.classes.length; rank++) if (!lane.classes[rank]!.isEmpty) pass.active[rank]!.push(lane);
    }
    for (let rank = this.#nextRank(pass); rank !== null; rank = this.#nextRank(pass)) this.#tryHead(pass, rank);
    for (const { queue, client } of pass.aside) queue.putBack(client);
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
      if (this.#credit[rank]! >= 1) return rank;
      highest = rank;
    }
    return highest;
  }

  #tryHead(pass: Pass<T, A>, rank: number): void {
    const lanes = pass.active[rank]!;
    let first = 0;
    for (let i = 1; i < lanes.length; i++) {
      if (isDueBefore(lanes[i]!.classes[rank]!.head()!, lanes[first]!.classes[rank]!.head()!)) first = i;
    }
    const lane = lanes[first]!;
    const queue = lane.classes[rank]!;
    const entry = queue.head()!;
    const found = evaluate(entry.applicant, entry.since, pass.now, (resource) => this.#held.has(resource), this.#options.choose);
    if (found.target !== null) {
      this.#remove(entry, found.target);
      pass.decided.push({ applicant: entry.applicant, decision: this.#start(pass.now, entry.applicant, rank, found.target) });
    } else if (!found.feasible) {
      this.#remove(entry);
      pass.decided.push({ applicant: entry.applicant, decision: refusal('infeasible', entry.applicant, pass.now) });
    } else {
      this.#block(entry, found);
      if (found.ownBlocked) pass.aside.push({ queue, client: queue.setAside() });
      else lanes.splice(first, 1);
      if (!found.ownBlocked) return;
    }
    if (queue.head() === undefined) lanes.splice(first, 1);
  }

  #block(entry: Entry<T, A>, found: Evaluation<T>): void {
    this.#wakeAt = Math.min(this.#wakeAt, found.wakeAt);
    if (found.holds.length > 0) {
      entry.holds ??= new Set();
      for (const resource of found.holds) entry.holds.add(resource);
    }
    if (entry.holds === null) return;
    for (const resource of entry.holds) this.#held.set(resource, Math.min(entry.rank, this.#held.get(resource) ?? Infinity));
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
    this.#credit[rank] = Math.max(0, this.#credit[rank]! - 1);
    for (let lower = rank + 1; lower < this.#credit.length; lower++) {
      const share = this.#options.minShare[SCHEDULING_CLASSES[lower]!] ?? 0;
      if (this.#waiting[lower]! > 0) this.#credit[lower] = Math.min(1 + share, this.#credit[lower]! + share);
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
      rank,
      since: now,
      sequence: this.#sequence++,
      lane,
      queue: null,
      orderIndex: -1,
      expiryIndex: -1,
      holds: null,
    };
    lane.classes[rank]!.add(entry);
    lane.size++;
    this.#entries.set(applicant, entry);
    this.#expiry.push(entry);
    this.#waiting[rank]!++;
    this.#wakeAt = Math.min(this.#wakeAt, found.wakeAt);
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

export type { Refusal };
