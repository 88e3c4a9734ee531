/**
 * Evaluates one applicant at one instant: whether and on which target it can start, and if it cannot, which queues it waits in and when to
 * evaluate it again. Reads resources and queues, and changes neither.
 */
import type { Instant } from '../../core/clock.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Capacity, Need, Resource, ResourceKind } from '../../core/resource.ts';
import type { Entry, TargetSet, ResourceQueue, Candidate, QueuePosition } from './target-set.ts';
import type { Applicant, Choose } from './types.ts';

/** Kinds of resources that a waiting applicant can reserve ("hold") against those behind it. */
const HOLDABLE: ReadonlySet<ResourceKind> = new Set(['requests', 'tokens', 'concurrency']);

/** Kinds that an applicant waits for only up to `maxCooldownWaitMs`. */
const PAUSES: ReadonlySet<ResourceKind> = new Set(['cooldown', 'pause', 'quarantine']);

export function isHoldable(resource: Resource): boolean {
  return HOLDABLE.has(resource.kind);
}

export function isClosed(resource: Pick<Resource, 'earliest'>, now: Instant, need: Need): boolean {
  const at = resource.earliest(now, need);
  return at === WHEN_SETTLED || at > now;
}

/** The result of one evaluation; the same object is reused. */
export interface Evaluation<T extends Capacity, A extends Applicant<T>> {
  /** The target on which it can start now; null: none. */
  candidate: Candidate<T, A> | null;
  /** False: as far as is known it cannot start before its wait ends. */
  feasible: boolean;
  /** When to evaluate it again independently of the queues (patience, backoff); Infinity: never. */
  wakeAt: Instant;
  /** The target that it waits for and whose capacity it holds; null: none. */
  waitsFor: Candidate<T, A> | null;
  /** The target on which it is expected to start first, and when. */
  soonest: Candidate<T, A> | null;
  soonestAt: Instant;
  /** The scarcest resource of that target; null: none is scarce. Only for a new applicant. */
  scarcest: ResourceQueue<T, A> | null;
  /** Only the limits of its own client block it. */
  ownBlocked: boolean;
  /** Some target is impossible for it, so it does not wait in the queues of that target. */
  isBarred: boolean;
  /** The queues it waits in, one for each target on which it may start later. */
  readonly queues: ResourceQueue<T, A>[];
  /** The target for which it waits there; null: several. */
  readonly candidates: (Candidate<T, A> | null)[];
  /** When each of these resources opens for it if nothing else is taken; `WHEN_SETTLED`: unknown. */
  readonly opensAt: Instant[];
}

/** When one target can start an applicant; the same object is reused. */
interface Outlook<T extends Capacity, A extends Applicant<T>> {
  /** Infinity: never. A lower bound where `settles`. */
  at: Instant;
  /** Blocked by something that only the end of another permit, or the start of another applicant, frees. */
  settles: boolean;
  /** Blocked by the client's own limits, among others. */
  ownBlocked: boolean;
  /** Blocked by capacity alone, so the applicant will use what it holds. */
  onlyCapacity: boolean;
  obstacle: ResourceQueue<T, A> | null;
  /** The scarcest of the resources that a start consumes, and when that one is available. */
  scarcest: ResourceQueue<T, A> | null;
  scarcestAt: Instant;
}

export class Evaluator<T extends Capacity, A extends Applicant<T>> {
  choose: Choose<T, A>;
  shares: readonly number[];
  readonly evaluation: Evaluation<T, A> = {
    candidate: null,
    feasible: false,
    wakeAt: Infinity,
    waitsFor: null,
    soonest: null,
    scarcest: null,
    soonestAt: Infinity,
    ownBlocked: false,
    isBarred: false,
    queues: [],
    candidates: [],
    opensAt: [],
  };
  readonly #queueOf: (resource: Resource) => ResourceQueue<T, A>;
  readonly #outlook: Outlook<T, A> = {
    at: 0,
    settles: false,
    ownBlocked: false,
    onlyCapacity: true,
    obstacle: null,
    scarcest: null,
    scarcestAt: 0,
  };
  readonly #startable: Candidate<T, A>[] = [];
  #waitsForAt: Instant = Infinity;
  #ownFree = false;
  /** The applicant is new: the requests that wait ahead of it count. */
  #withBacklog = false;
  /** Some resource may have opened since the last poll. */
  #isOverdue = false;

  constructor(choose: Choose<T, A>, shares: readonly number[], queueOf: (resource: Resource) => ResourceQueue<T, A>) {
    this.choose = choose;
    this.shares = shares;
    this.#queueOf = queueOf;
  }

  /** Evaluates a new applicant. `isOverdue`: some resource may have opened since the last poll. */
  evaluateNewcomer(entry: Entry<T, A>, now: Instant, isOverdue: boolean): Evaluation<T, A> {
    this.#isOverdue = isOverdue;
    const evaluation = this.evaluate(entry, now, true);
    this.#isOverdue = false;
    return evaluation;
  }

  evaluate(entry: Entry<T, A>, now: Instant, withBacklog: boolean): Evaluation<T, A> {
    const { evaluation } = this;
    this.#reset(withBacklog);
    /** When the earliest of the better tiers can start it. */
    let betterAt = Infinity;
    const { tiers } = entry.group.targetSet;
    for (let i = 0; i < tiers.length; i++) {
      const tier = tiers[i]!;
      const tierAt = this.#searchTier(entry, tier, now);
      if (this.#startable.length > 0) {
        evaluation.feasible = true;
        const waitEnds = betterAt === Infinity ? now : endOfPatience(entry, tier);
        if (waitEnds <= now || betterAt > waitEnds || (isLastResort(tier) && !this.#drains(waitEnds, entry, i, now))) {
          evaluation.candidate = this.#pick(entry.applicant, now);
          return evaluation;
        }
        this.#ownFree = true;
        evaluation.wakeAt = Math.min(evaluation.wakeAt, waitEnds);
        break;
      }
      betterAt = Math.min(betterAt, tierAt);
    }
    if (evaluation.feasible && !this.#ownFree) this.#waitOnOwnLimits(entry, now);
    return evaluation;
  }

  /**
   * When a new applicant in the place of this one could start, after those that wait; chooses no target. `soonest` is null if it could
   * start now.
   */
  outlook(entry: Entry<T, A>, now: Instant): Evaluation<T, A> {
    const { evaluation } = this;
    this.#reset(true);
    for (const tier of entry.group.targetSet.tiers) this.#searchTier(entry, tier, now);
    if (this.#startable.length > 0) evaluation.soonest = null;
    return evaluation;
  }

  /** The fast path while the queue is empty: a target of the first tier that can start now; null: a full evaluation is needed. */
  startable(now: Instant, applicant: A): T | null {
    let found: T | null = null;
    let several: T[] | null = null;
    for (const target of applicant.tiers[0] ?? []) {
      if (!isOpen(now, applicant, target)) continue;
      if (found === null) found = target;
      else (several ??= [found]).push(target);
    }
    return several === null ? found : this.choose(several, applicant, now);
  }

  #reset(withBacklog: boolean): void {
    const { evaluation } = this;
    evaluation.candidate = evaluation.waitsFor = evaluation.soonest = evaluation.scarcest = null;
    evaluation.feasible = evaluation.ownBlocked = evaluation.isBarred = false;
    evaluation.wakeAt = evaluation.soonestAt = this.#waitsForAt = Infinity;
    evaluation.queues.length = evaluation.candidates.length = evaluation.opensAt.length = this.#startable.length = 0;
    this.#ownFree = false;
    this.#withBacklog = withBacklog;
  }

  /**
   * True if all waiting requests like this one can start in time on the tiers before number `i`, at the current rate of starts there.
   * `waitEnds` is the limit of this one; those behind it may have more time. A new applicant was already checked against the requests ahead
   * of it.
   */
  #drains(waitEnds: Instant, entry: Entry<T, A>, i: number, now: Instant): boolean {
    if (this.#withBacklog) return true;
    // Isolated requests count with the group from which they were isolated.
    const { entries, targetSet, isolated } = entry.group.isolatedFrom ?? entry.group;
    const last = entries.at(entries.size - 1) ?? entry;
    const horizonMs = waitEnds + Math.max(0, last.deadline - entry.deadline) - now;
    let starts = 0;
    for (const tier of targetSet.tiers.slice(0, i)) {
      for (const { target, queues } of tier) {
        const need = entry.applicant.needOn(target);
        if (
          entry.applicant.notBefore(target) > now ||
          queues.some((queue) => !isHoldable(queue.resource) && isClosed(queue.resource, now, need))
        )
          continue;
        const gapMs = Math.max(...queues.map((queue) => queue.gapMs(now, need) ?? 0));
        if (gapMs === 0) return true;
        starts += horizonMs / gapMs;
      }
    }
    return starts >= entries.size + isolated;
  }

  /** Collects the targets of the tier that can start now in `#startable`; returns the earliest instant of the others. */
  #searchTier(entry: Entry<T, A>, tier: readonly Candidate<T, A>[], now: Instant): Instant {
    const { evaluation } = this;
    let tierAt = Infinity;
    for (const candidate of tier) {
      const { at, settles, ownBlocked, onlyCapacity, obstacle, scarcest } = this.#outlookFor(entry, candidate, now);
      if (at <= now && !settles) {
        this.#startable.push(candidate);
        continue;
      }
      // A broken target may recover; a target whose limit is too small for the request remains impossible.
      if (at === Infinity && (obstacle === null || HOLDABLE.has(obstacle.resource.kind))) {
        evaluation.isBarred = true;
        continue;
      }
      if (obstacle !== null)
        this.#addWait(
          obstacle,
          candidate,
          obstacle.earliest(now, entry.applicant.needOn(candidate.target), entry.group.rank, entry.deadline),
        );
      if (at < evaluation.soonestAt) {
        [evaluation.soonest, evaluation.soonestAt] = [candidate, at];
        evaluation.scarcest = scarcest;
      }
      if (at >= entry.waitUntil) continue;
      evaluation.feasible = true;
      if (!isOnTrial(obstacle, settles)) tierAt = Math.min(tierAt, at);
      if (obstacle === null) evaluation.wakeAt = Math.min(evaluation.wakeAt, at);
      if (!ownBlocked) this.#ownFree = true;
      if (onlyCapacity && at < this.#waitsForAt) [evaluation.waitsFor, this.#waitsForAt] = [candidate, at];
    }
    return tierAt;
  }

  #outlookFor(entry: Entry<T, A>, candidate: Candidate<T, A>, now: Instant): Outlook<T, A> {
    const { applicant } = entry;
    const outlook = this.#outlook;
    const notBefore = applicant.notBefore(candidate.target);
    outlook.at = Math.max(now, notBefore);
    outlook.onlyCapacity = notBefore <= now;
    outlook.settles = outlook.ownBlocked = false;
    outlook.obstacle = outlook.scarcest = null;
    outlook.scarcestAt = -Infinity;
    if (notBefore === Infinity) return outlook;
    const need = applicant.needOn(candidate.target);
    const { resources } = candidate.target;
    for (let i = 0; i < resources.length; i++) this.#apply(entry, candidate.queues[i]!, need, now, false);
    for (const resource of applicant.own) this.#apply(entry, this.#queueOf(resource), need, now, true);
    return outlook;
  }

  /** Adds one resource to the outlook. */
  #apply(entry: Entry<T, A>, queue: ResourceQueue<T, A>, need: Need, now: Instant, own: boolean): void {
    const outlook = this.#outlook;
    const { resource } = queue;
    let at = queue.earliest(now, need, entry.group.rank, entry.deadline);
    const isFree = at !== WHEN_SETTLED && at <= now;
    if (!isFree && PAUSES.has(resource.kind) && at - now > entry.applicant.maxCooldownWaitMs) at = Infinity;
    if (at === WHEN_SETTLED) outlook.settles = true;
    else if (at > outlook.at) outlook.at = at;
    const holder = isFree && queue.length > 0 ? holderBefore(queue, entry, this.#isOverdue) : null;
    if (this.#withBacklog && (own || HOLDABLE.has(resource.kind))) this.#estimate(entry, queue, need, now, at, holder);
    if (isFree) {
      if (holder === null) return;
      outlook.settles = true;
    } else if (own) {
      outlook.ownBlocked = true;
      outlook.onlyCapacity = false;
    } else if (!HOLDABLE.has(resource.kind)) outlook.onlyCapacity = false;
    outlook.obstacle ??= queue;
  }

  /**
   * For a new applicant: when this resource is available after the requests ahead of it. The resource that is available last is the
   * scarcest.
   */
  #estimate(
    entry: Entry<T, A>,
    queue: ResourceQueue<T, A>,
    need: Need,
    now: Instant,
    at: Instant,
    holder: QueuePosition<T, A> | null,
  ): void {
    const outlook = this.#outlook;
    const isBlocked = holder !== null || at === WHEN_SETTLED || at > now;
    let expected = now;
    if (isBlocked || queue.length > 0) expected = Math.max(now, at, queue.expectedAt(now, entry, need, this.shares, true));
    if (holder !== null) expected = Math.max(expected, holder.opensAt);
    if (expected > outlook.at) outlook.at = expected;
    if (expected < outlook.scarcestAt || (expected === outlook.scarcestAt && (outlook.obstacle !== null || !isBlocked))) return;
    [outlook.scarcest, outlook.scarcestAt] = [queue, expected];
  }

  #pick(applicant: A, now: Instant): Candidate<T, A> {
    const startable = this.#startable;
    if (startable.length === 1) return startable[0]!;
    const target = this.choose(
      startable.map((candidate) => candidate.target),
      applicant,
      now,
    );
    return startable.find((candidate) => candidate.target === target)!;
  }

  #addWait(queue: ResourceQueue<T, A>, candidate: Candidate<T, A>, opensAt: Instant): void {
    const { evaluation } = this;
    const known = evaluation.queues.indexOf(queue);
    if (known < 0) {
      evaluation.queues.push(queue);
      evaluation.candidates.push(candidate);
      evaluation.opensAt.push(opensAt);
    } else {
      evaluation.candidates[known] = null;
      evaluation.opensAt[known] = Math.min(evaluation.opensAt[known]!, opensAt);
    }
  }

  /** Only the limits of its own client block it, so it waits in no other queue. */
  #waitOnOwnLimits(entry: Entry<T, A>, now: Instant): void {
    const { evaluation } = this;
    evaluation.queues.length = evaluation.candidates.length = evaluation.opensAt.length = 0;
    evaluation.waitsFor = null;
    evaluation.ownBlocked = true;
    const { applicant } = entry;
    for (const tier of entry.group.targetSet.tiers) {
      for (const candidate of tier) {
        const need = applicant.needOn(candidate.target);
        const blocked = applicant.own.find((resource) => isClosed(resource, now, need));
        if (blocked !== undefined) this.#addWait(this.#queueOf(blocked), candidate, blocked.earliest(now, need));
      }
    }
  }
}

/** Until when better tiers are preferred to this one. */
function endOfPatience<T extends Capacity, A extends Applicant<T>>(
  { applicant, since }: Entry<T, A>,
  tier: readonly Candidate<T, A>[],
): Instant {
  return (isLastResort(tier) ? applicant.lastResortAt : undefined) ?? since + applicant.patienceMs;
}

function isLastResort<T extends Capacity, A extends Applicant<T>>(tier: readonly Candidate<T, A>[]): boolean {
  return tier.every(({ target }) => target.isLastResort === true);
}

function isOpen<T extends Capacity>(now: Instant, applicant: Applicant<T>, target: T): boolean {
  if (applicant.notBefore(target) > now) return false;
  const need = applicant.needOn(target);
  for (const resource of target.resources) if (isClosed(resource, now, need)) return false;
  for (const resource of applicant.own) if (isClosed(resource, now, need)) return false;
  return true;
}

/**
 * The target is being tested by a trial call, or waits for one: the outcome is uncertain, and few calls are admitted at first. So it does
 * not justify waiting for its tier.
 */
function isOnTrial<T extends Capacity, A extends Applicant<T>>(obstacle: ResourceQueue<T, A> | null, settles: boolean): boolean {
  if (obstacle === null) return false;
  const { kind } = obstacle.resource;
  return kind === 'breaker' || (settles && (kind === 'pause' || kind === 'quarantine'));
}

/** The position that holds the queue's resource against the entry; null: none. */
function holderBefore<T extends Capacity, A extends Applicant<T>>(
  queue: ResourceQueue<T, A>,
  entry: Entry<T, A>,
  isOverdue: boolean,
): QueuePosition<T, A> | null {
  const holder = queue.holder ?? (isOverdue ? queue.front() : null);
  return holder !== null && holder.group.entries.peek() !== entry && queue.precedes(holder, entry) ? holder : null;
}

const SMALLEST: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };

/** True if some request for these targets, even the smallest, could start now despite the positions that hold resources. */
export function opensForSome<T extends Capacity, A extends Applicant<T>>(targetSet: TargetSet<T, A>, now: Instant): boolean {
  return targetSet.tiers.some((tier) =>
    tier.some(({ queues }) => queues.every((queue) => queue.holder === null && !isClosed(queue.resource, now, SMALLEST))),
  );
}

/** True if the resource admits no request, not even the smallest. */
export function isClosedForAll<T extends Capacity, A extends Applicant<T>>(queue: ResourceQueue<T, A>, now: Instant): boolean {
  return isClosed(queue.resource, now, SMALLEST);
}
