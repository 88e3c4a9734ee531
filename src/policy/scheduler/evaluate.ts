import type { Instant } from '../../core/clock.ts';
import type { Blocker } from '../../core/events.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Capacity, Need, Resource, ResourceKind } from '../../core/resource.ts';
import type { Applicant, Choose, Refusal } from './types.ts';

/**
 * Looks at one applicant at one instant: can it start, on which target, and if not, what is worth waiting for?
 * Reads resources, changes nothing.
 */

/** Kinds that count as "held back by limits" when a refusal is told apart (design 2.3, `rate_limited`). */
const LIMITS: ReadonlySet<ResourceKind> = new Set(['requests', 'tokens', 'concurrency', 'cooldown', 'client', 'budget']);

/** Kinds that an applicant at the head keeps from those behind it while it waits. */
const HOLDABLE: ReadonlySet<ResourceKind> = new Set(['requests', 'tokens', 'concurrency']);

/** Kinds that are not waited for beyond `maxCooldownWaitMs`. */
const PAUSES: ReadonlySet<ResourceKind> = new Set(['cooldown', 'bench']);

export type IsHeld = (resource: Resource) => boolean;

export interface Evaluation<T> {
  /** Where it can start now; null: nowhere. */
  target: T | null;
  /** While it can't: the soonest instant at which to look again without any settlement; Infinity: only on one. */
  wakeAt: Instant;
  /** False: by what is known it can't start before its wait ends. */
  feasible: boolean;
  /** True if its own client's limits hold it back wherever it could start, so that other clients may pass. */
  ownBlocked: boolean;
  /** The target that it waits for and whose capacity it keeps from those behind it; null: it keeps nothing. */
  waitsFor: T | null;
}

/** When one target would let an applicant start, the client's own limits included. */
interface Outlook {
  /** The instant; Infinity: never. A lower bound where `settles`. */
  at: Instant;
  /** Blocked by something that only another permit's end, or another applicant's start, frees. */
  settles: boolean;
  /** Blocked by the client's own limits, whatever else. */
  ownBlocked: boolean;
  /** Nothing but capacity holds it back: what it keeps from others it will use. */
  onlyCapacity: boolean;
}

/** What an evaluation has found so far, over the tiers. */
interface Search<T> {
  bestAt: Instant;
  ownFree: boolean;
  readonly result: Evaluation<T>;
}

export function evaluate<T extends Capacity, A extends Applicant<T>>(
  applicant: A,
  since: Instant,
  now: Instant,
  isHeld: IsHeld,
  choose: Choose<T, A>,
): Evaluation<T> {
  const result: Evaluation<T> = { target: null, wakeAt: Infinity, feasible: false, ownBlocked: false, waitsFor: null };
  const search: Search<T> = { bestAt: Infinity, ownFree: false, result };
  const patienceEnds = since + applicant.patienceMs;
  let betterTierWorthIt = false;
  for (const tier of applicant.tiers) {
    const found = searchTier(search, applicant, tier, now, isHeld);
    if (found.startable.length > 0) {
      result.feasible = true;
      if (!betterTierWorthIt) {
        result.target = found.startable.length === 1 ? found.startable[0]! : choose(found.startable, applicant, now);
        return result;
      }
      search.ownFree = true;
      result.wakeAt = Math.min(result.wakeAt, patienceEnds);
      break;
    }
    if (patienceEnds > now && found.at <= patienceEnds) betterTierWorthIt = true;
  }
  result.ownBlocked = result.feasible && !search.ownFree;
  return result;
}

function searchTier<T extends Capacity>(
  search: Search<T>,
  applicant: Applicant<T>,
  tier: readonly T[],
  now: Instant,
  isHeld: IsHeld,
): { startable: T[]; at: Instant } {
  const { result } = search;
  const startable: T[] = [];
  let tierAt = Infinity;
  for (const target of tier) {
    const outlook = lookAt(applicant, target, now, isHeld);
    if (outlook.at <= now && !outlook.settles) {
      startable.push(target);
      continue;
    }
    if (outlook.at >= applicant.waitUntil) continue;
    result.feasible = true;
    tierAt = Math.min(tierAt, outlook.at);
    if (!outlook.settles) result.wakeAt = Math.min(result.wakeAt, outlook.at);
    if (!outlook.ownBlocked) search.ownFree = true;
    if (outlook.onlyCapacity && outlook.at < search.bestAt) [result.waitsFor, search.bestAt] = [target, outlook.at];
  }
  return { startable, at: tierAt };
}

function lookAt<T extends Capacity>(applicant: Applicant<T>, target: T, now: Instant, isHeld: IsHeld): Outlook {
  const notBefore = applicant.notBefore(target);
  const outlook: Outlook = { at: Math.max(now, notBefore), settles: false, ownBlocked: false, onlyCapacity: notBefore <= now };
  if (notBefore === Infinity) return outlook;
  const need = applicant.needOn(target);
  for (const resource of target.resources) {
    let at = resource.earliest(now, need);
    if (PAUSES.has(resource.kind) && at - now > applicant.maxCooldownWaitMs) at = Infinity;
    const free = defer(outlook, at, now);
    if (!free && !HOLDABLE.has(resource.kind)) outlook.onlyCapacity = false;
    if (isHeld(resource)) outlook.settles = true;
  }
  for (const resource of applicant.own) {
    if (defer(outlook, resource.earliest(now, need), now)) continue;
    outlook.ownBlocked = true;
    outlook.onlyCapacity = false;
  }
  return outlook;
}

/** Puts the outlook off until one more resource is free; true if that is now. */
function defer(outlook: Outlook, at: Instant, now: Instant): boolean {
  if (at === WHEN_SETTLED) outlook.settles = true;
  else if (at > now) outlook.at = Math.max(outlook.at, at);
  else return true;
  return false;
}

/** The capacity of the target that is missing now: what the applicant keeps from those behind it. */
export function missingCapacity<T extends Capacity>(applicant: Applicant<T>, target: T, now: Instant): Resource[] {
  const need = applicant.needOn(target);
  return target.resources.filter((resource) => {
    if (!HOLDABLE.has(resource.kind)) return false;
    const at = resource.earliest(now, need);
    return at === WHEN_SETTLED || at > now;
  });
}

const SMALLEST: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };

/**
 * When a target of these tiers could start anything at all, however small: `now` or before if one can, Infinity where
 * only a settlement, or the start of who holds it, opens one.
 */
export function opensAt<T extends Capacity>(tiers: Applicant<T>['tiers'], now: Instant, isHeld: IsHeld): Instant {
  let soonest = Infinity;
  for (const tier of tiers) for (const target of tier) soonest = Math.min(soonest, targetOpensAt(target, now, isHeld));
  return soonest;
}

function targetOpensAt(target: Capacity, now: Instant, isHeld: IsHeld): Instant {
  let opens = now;
  for (const resource of target.resources) {
    const at = resource.earliest(now, SMALLEST);
    if (at === WHEN_SETTLED || isHeld(resource)) return Infinity;
    opens = Math.max(opens, at);
  }
  return opens;
}

function isBlocked(at: Instant, now: Instant): boolean {
  return at === WHEN_SETTLED || at > now;
}

/** The refusal's honest words: what holds back each target, and when the first could have started. */
export function refusal<T extends Capacity>(why: Refusal['why'], applicant: Applicant<T>, now: Instant): Refusal {
  const blockers: Blocker[] = [];
  let earliest = Infinity;
  let limited = false;
  for (const tier of applicant.tiers) {
    for (const target of tier) {
      const found = blockersOf(target.key, [...target.resources, ...applicant.own], applicant.needOn(target), now);
      const at = Math.max(found.at, applicant.notBefore(target));
      blockers.push(...found.blockers);
      if (found.known) earliest = Math.min(earliest, at);
      if (at < Infinity && found.blockers.every((b) => LIMITS.has(b.kind as ResourceKind))) limited = true;
    }
  }
  return { kind: 'refuse', why, earliest: earliest === Infinity ? null : earliest, limited, blockers };
}

/** `known` is false where only another permit's end is waited for: nobody can say when that is. */
function blockersOf(
  key: string,
  resources: readonly Resource[],
  need: Need,
  now: Instant,
): { blockers: Blocker[]; at: Instant; known: boolean } {
  const blockers: Blocker[] = [];
  let at = now;
  for (const resource of resources) {
    const free = resource.earliest(now, need);
    if (isBlocked(free, now)) blockers.push({ target: key, kind: resource.kind, waitMs: free === WHEN_SETTLED ? null : free - now });
    at = Math.max(at, free);
  }
  return { blockers, at, known: at > now || blockers.length === 0 };
}
