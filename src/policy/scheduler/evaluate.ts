/**
 * Looks at one applicant at one instant: can it start, on which target, and if not, in which lines does it stand, and when is it
 * to be looked at again? Reads resources and lines, changes nothing.
 */
import type { Instant } from '../../core/clock.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Capacity, Need, Resource, ResourceKind } from '../../core/resource.ts';
import type { Entry, Lane, Line, Place, Spot } from './lane.ts';
import type { Applicant, Choose } from './types.ts';

/** Kinds that an applicant keeps from those behind it while it waits. */
const HOLDABLE: ReadonlySet<ResourceKind> = new Set(['requests', 'tokens', 'concurrency']);

/** Kinds that are not waited for beyond `maxCooldownWaitMs`. */
const PAUSES: ReadonlySet<ResourceKind> = new Set(['cooldown', 'bench']);

export function isHoldable(resource: Resource): boolean {
  return HOLDABLE.has(resource.kind);
}

export function isClosed(resource: Pick<Resource, 'earliest'>, now: Instant, need: Need): boolean {
  const at = resource.earliest(now, need);
  return at === WHEN_SETTLED || at > now;
}

/** What one look has found; one object, filled anew by every look. */
export interface Look<T extends Capacity, A extends Applicant<T>> {
  /** Where it can start now; null: nowhere. */
  place: Place<T, A> | null;
  /** False: by what is known it can't start before its wait ends. */
  feasible: boolean;
  /** While it can't start: when to look again whatever the lines do (patience, backoff); Infinity: no need. */
  wakeAt: Instant;
  /** The target that it waits for and whose capacity it keeps from those behind it; null: it keeps nothing. */
  waitsFor: Place<T, A> | null;
  /** Where it will start, as things stand, and when. */
  soonest: Place<T, A> | null;
  soonestAt: Instant;
  /** What is scarcest there; null: nothing. Only for a newcomer. */
  scarcest: Line<T, A> | null;
  /** Nothing but its client's own limits keeps it back. */
  ownBlocked: boolean;
  /** Some target is out of the question for it, so that it stands in no line of that one. */
  isBarred: boolean;
  /** The lines it stands in, one for each target that it may start on later. */
  readonly lines: Line<T, A>[];
  /** For which target it stands there; null: for several. */
  readonly places: (Place<T, A> | null)[];
  /** When each of the resources opens for it, if nobody else takes; `WHEN_SETTLED`: unknown. */
  readonly opensAt: Instant[];
}

/** When one target would let an applicant start; the same object for every target. */
interface Outlook<T extends Capacity, A extends Applicant<T>> {
  /** Infinity: never. A lower bound where `settles`. */
  at: Instant;
  /** Blocked by something that only another permit's end, or another applicant's start, frees. */
  settles: boolean;
  /** Blocked by the client's own limits, whatever else. */
  ownBlocked: boolean;
  /** Nothing but capacity holds it back: what it keeps from others it will use. */
  onlyCapacity: boolean;
  obstacle: Line<T, A> | null;
  /** The scarcest of what a start uses up, and when that is to be had. */
  scarcest: Line<T, A> | null;
  scarcestAt: Instant;
}

export class Evaluator<T extends Capacity, A extends Applicant<T>> {
  choose: Choose<T, A>;
  shares: readonly number[];
  readonly look: Look<T, A> = {
    place: null,
    feasible: false,
    wakeAt: Infinity,
    waitsFor: null,
    soonest: null,
    scarcest: null,
    soonestAt: Infinity,
    ownBlocked: false,
    isBarred: false,
    lines: [],
    places: [],
    opensAt: [],
  };
  readonly #lineOf: (resource: Resource) => Line<T, A>;
  readonly #outlook: Outlook<T, A> = {
    at: 0,
    settles: false,
    ownBlocked: false,
    onlyCapacity: true,
    obstacle: null,
    scarcest: null,
    scarcestAt: 0,
  };
  readonly #startable: Place<T, A>[] = [];
  #waitsForAt: Instant = Infinity;
  #ownFree = false;
  /** Those who wait before it count: a newcomer's look. */
  #withPromises = false;
  /** Something may have opened for those who wait since they were last looked at. */
  #isOverdue = false;

  constructor(choose: Choose<T, A>, shares: readonly number[], lineOf: (resource: Resource) => Line<T, A>) {
    this.choose = choose;
    this.shares = shares;
    this.#lineOf = lineOf;
  }

  /** `isOverdue`: something may have opened for those who wait since they were last looked at. */
  evaluateNewcomer(entry: Entry<T, A>, now: Instant, isOverdue: boolean): Look<T, A> {
    this.#isOverdue = isOverdue;
    const look = this.evaluate(entry, now, true);
    this.#isOverdue = false;
    return look;
  }

  evaluate(entry: Entry<T, A>, now: Instant, withPromises: boolean): Look<T, A> {
    const { look } = this;
    this.#reset(withPromises);
    /** When the soonest of the better tiers could start. */
    let betterAt = Infinity;
    const { tiers } = entry.queue.lane;
    for (let i = 0; i < tiers.length; i++) {
      const tier = tiers[i]!;
      const tierAt = this.#searchTier(entry, tier, now);
      if (this.#startable.length > 0) {
        look.feasible = true;
        const waitEnds = betterAt === Infinity ? now : endOfPatience(entry, tier);
        if (waitEnds <= now || betterAt > waitEnds || (isLastResort(tier) && !this.#drains(waitEnds, entry, i, now))) {
          look.place = this.#pick(entry.applicant, now);
          return look;
        }
        this.#ownFree = true;
        look.wakeAt = Math.min(look.wakeAt, waitEnds);
        break;
      }
      betterAt = Math.min(betterAt, tierAt);
    }
    if (look.feasible && !this.#ownFree) this.#standInOwnLine(entry, now);
    return look;
  }

  /** When a newcomer in its place could start, after those who wait; nothing is chosen. `soonest` is null where one can start now. */
  outlook(entry: Entry<T, A>, now: Instant): Look<T, A> {
    const { look } = this;
    this.#reset(true);
    for (const tier of entry.queue.lane.tiers) this.#searchTier(entry, tier, now);
    if (this.#startable.length > 0) look.soonest = null;
    return look;
  }

  /** The shortest way, for when nobody waits: a target of the first tier that can start now; null: none, or look closer. */
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

  #reset(withPromises: boolean): void {
    const { look } = this;
    look.place = look.waitsFor = look.soonest = look.scarcest = null;
    look.feasible = look.ownBlocked = look.isBarred = false;
    look.wakeAt = look.soonestAt = this.#waitsForAt = Infinity;
    look.lines.length = look.places.length = look.opensAt.length = this.#startable.length = 0;
    this.#ownFree = false;
    this.#withPromises = withPromises;
  }

  /**
   * True if all who wait as this one does can start on the tiers better than number `i` in time, at the pace at which others start there
   * of late. `waitEnds` is its own time; those behind it may have more. A newcomer was judged by those before it.
   */
  #drains(waitEnds: Instant, entry: Entry<T, A>, i: number, now: Instant): boolean {
    if (this.#withPromises) return true;
    // Those that are looked at by themselves wait with the queue that they were taken out of.
    const { entries, lane, apart } = entry.queue.apartFrom ?? entry.queue;
    const last = entries.at(entries.size - 1) ?? entry;
    const horizonMs = waitEnds + Math.max(0, last.deadline - entry.deadline) - now;
    let starts = 0;
    for (const tier of lane.tiers.slice(0, i)) {
      for (const { target, lines } of tier) {
        const need = entry.applicant.needOn(target);
        if (
          entry.applicant.notBefore(target) > now ||
          lines.some((line) => !isHoldable(line.resource) && isClosed(line.resource, now, need))
        )
          continue;
        const gapMs = Math.max(...lines.map((line) => line.gapMs(now, need) ?? 0));
        if (gapMs === 0) return true;
        starts += horizonMs / gapMs;
      }
    }
    return starts >= entries.size + apart;
  }

  /** Fills `#startable` with those of the tier that can start now; the soonest instant of the others. */
  #searchTier(entry: Entry<T, A>, tier: readonly Place<T, A>[], now: Instant): Instant {
    const { look } = this;
    let tierAt = Infinity;
    for (const place of tier) {
      const { at, settles, ownBlocked, onlyCapacity, obstacle, scarcest } = this.#lookAt(entry, place, now);
      if (at <= now && !settles) {
        this.#startable.push(place);
        continue;
      }
      // What is out of order may be put right by hand; what is too small for it stays so.
      if (at === Infinity && (obstacle === null || HOLDABLE.has(obstacle.resource.kind))) {
        look.isBarred = true;
        continue;
      }
      if (obstacle !== null)
        this.#standIn(obstacle, place, obstacle.earliest(now, entry.applicant.needOn(place.target), entry.queue.rank, entry.deadline));
      if (at < look.soonestAt) {
        [look.soonest, look.soonestAt] = [place, at];
        look.scarcest = scarcest;
      }
      if (at >= entry.waitUntil) continue;
      look.feasible = true;
      if (!isOnTrial(obstacle, settles)) tierAt = Math.min(tierAt, at);
      if (obstacle === null) look.wakeAt = Math.min(look.wakeAt, at);
      if (!ownBlocked) this.#ownFree = true;
      if (onlyCapacity && at < this.#waitsForAt) [look.waitsFor, this.#waitsForAt] = [place, at];
    }
    return tierAt;
  }

  #lookAt(entry: Entry<T, A>, place: Place<T, A>, now: Instant): Outlook<T, A> {
    const { applicant } = entry;
    const outlook = this.#outlook;
    const notBefore = applicant.notBefore(place.target);
    outlook.at = Math.max(now, notBefore);
    outlook.onlyCapacity = notBefore <= now;
    outlook.settles = outlook.ownBlocked = false;
    outlook.obstacle = outlook.scarcest = null;
    outlook.scarcestAt = -Infinity;
    if (notBefore === Infinity) return outlook;
    const need = applicant.needOn(place.target);
    const { resources } = place.target;
    for (let i = 0; i < resources.length; i++) this.#meet(entry, place.lines[i]!, need, now, false);
    for (const resource of applicant.own) this.#meet(entry, this.#lineOf(resource), need, now, true);
    return outlook;
  }

  /** Puts the outlook off until one more resource is free. */
  #meet(entry: Entry<T, A>, line: Line<T, A>, need: Need, now: Instant, own: boolean): void {
    const outlook = this.#outlook;
    const { resource } = line;
    let at = line.earliest(now, need, entry.queue.rank, entry.deadline);
    const isFree = at !== WHEN_SETTLED && at <= now;
    if (!isFree && PAUSES.has(resource.kind) && at - now > entry.applicant.maxCooldownWaitMs) at = Infinity;
    if (at === WHEN_SETTLED) outlook.settles = true;
    else if (at > outlook.at) outlook.at = at;
    const holder = isFree && line.length > 0 ? holderBefore(line, entry, this.#isOverdue) : null;
    if (this.#withPromises && (own || HOLDABLE.has(resource.kind))) this.#reckon(entry, line, need, now, at, holder);
    if (isFree) {
      if (holder === null) return;
      outlook.settles = true;
    } else if (own) {
      outlook.ownBlocked = true;
      outlook.onlyCapacity = false;
    } else if (!HOLDABLE.has(resource.kind)) outlook.onlyCapacity = false;
    outlook.obstacle ??= line;
  }

  /** For a newcomer: when can it have this, after those who go before it? What it will have last is the scarcest. */
  #reckon(entry: Entry<T, A>, line: Line<T, A>, need: Need, now: Instant, at: Instant, holder: Spot<T, A> | null): void {
    const outlook = this.#outlook;
    const isBlocked = holder !== null || at === WHEN_SETTLED || at > now;
    let expected = now;
    if (isBlocked || line.length > 0) expected = Math.max(now, at, line.expect(now, entry, need, this.shares, true));
    if (holder !== null) expected = Math.max(expected, holder.opensAt);
    if (expected > outlook.at) outlook.at = expected;
    if (expected < outlook.scarcestAt || (expected === outlook.scarcestAt && (outlook.obstacle !== null || !isBlocked))) return;
    [outlook.scarcest, outlook.scarcestAt] = [line, expected];
  }

  #pick(applicant: A, now: Instant): Place<T, A> {
    const startable = this.#startable;
    if (startable.length === 1) return startable[0]!;
    const target = this.choose(
      startable.map((place) => place.target),
      applicant,
      now,
    );
    return startable.find((place) => place.target === target)!;
  }

  #standIn(line: Line<T, A>, place: Place<T, A>, opensAt: Instant): void {
    const { look } = this;
    const known = look.lines.indexOf(line);
    if (known < 0) {
      look.lines.push(line);
      look.places.push(place);
      look.opensAt.push(opensAt);
    } else {
      look.places[known] = null;
      look.opensAt[known] = Math.min(look.opensAt[known]!, opensAt);
    }
  }

  /** Only its own client's limits hold it back: it stands in nobody else's way. */
  #standInOwnLine(entry: Entry<T, A>, now: Instant): void {
    const { look } = this;
    look.lines.length = look.places.length = look.opensAt.length = 0;
    look.waitsFor = null;
    look.ownBlocked = true;
    const { applicant } = entry;
    for (const tier of entry.queue.lane.tiers) {
      for (const place of tier) {
        const need = applicant.needOn(place.target);
        const blocked = applicant.own.find((resource) => isClosed(resource, now, need));
        if (blocked !== undefined) this.#standIn(this.#lineOf(blocked), place, blocked.earliest(now, need));
      }
    }
  }
}

/** Until when better tiers are worth waiting for before this one. */
function endOfPatience<T extends Capacity, A extends Applicant<T>>(
  { applicant, since }: Entry<T, A>,
  tier: readonly Place<T, A>[],
): Instant {
  return (isLastResort(tier) ? applicant.lastResortAt : undefined) ?? since + applicant.patienceMs;
}

function isLastResort<T extends Capacity, A extends Applicant<T>>(tier: readonly Place<T, A>[]): boolean {
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
 * It is out of order, or somebody is just trying whether it is: nobody knows how that ends, and at first few are let through. It is no
 * better tier that is worth patience.
 */
function isOnTrial<T extends Capacity, A extends Applicant<T>>(obstacle: Line<T, A> | null, settles: boolean): boolean {
  if (obstacle === null) return false;
  return obstacle.resource.kind === 'breaker' || (settles && obstacle.resource.kind === 'bench');
}

/** Who keeps the line's resource from an entry; null: nobody. */
function holderBefore<T extends Capacity, A extends Applicant<T>>(
  line: Line<T, A>,
  entry: Entry<T, A>,
  isOverdue: boolean,
): Spot<T, A> | null {
  const holder = line.holder ?? (isOverdue ? line.front() : null);
  return holder !== null && holder.queue.entries.peek() !== entry && line.goesBefore(holder, entry) ? holder : null;
}

const SMALLEST: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };

/** True if something of this lane, however small, could start now beside whoever keeps what from others. */
export function opensForSome<T extends Capacity, A extends Applicant<T>>(lane: Lane<T, A>, now: Instant): boolean {
  return lane.tiers.some((tier) =>
    tier.some(({ lines }) => lines.every((line) => line.holder === null && !isClosed(line.resource, now, SMALLEST))),
  );
}

/** False if the line's resource keeps everybody back, however little each needs. */
export function isClosedForAll<T extends Capacity, A extends Applicant<T>>(line: Line<T, A>, now: Instant): boolean {
  return isClosed(line.resource, now, SMALLEST);
}
