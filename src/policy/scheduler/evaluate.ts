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

export type IsHeld = (resource: Resource) => boolean;

export interface Evaluation<T> {
  /** Where it can start now; null: nowhere. */
  target: T | null;
  /** While it can't: the soonest instant at which to look again without any settlement; Infinity: only on one. */
  wakeAt: Instant;
  /** False: by what is known it can't start before its wait ends. */
  feasible: boolean;
  /** True if its own client's limits hold it back, so that other clients may pass. */
  ownBlocked: boolean;
  /** What it keeps from those behind it while it waits. */
  holds: Resource[];
}

/** When one target, or the client's own limits, would let it start. */
interface Outlook {
  /** The instant; Infinity: never. A lower bound where `settles`. */
  at: Instant;
  /** Blocked by something that only another permit's end frees. */
  settles: boolean;
}

function look(resources: readonly Resource[], need: Need, now: Instant, isHeld: IsHeld, maxCooldownWaitMs: number): Outlook {
  const outlook: Outlook = { at: now, settles: false };
  for (const resource of resources) {
    const at = resource.earliest(now, need);
    if (at === WHEN_SETTLED || isHeld(resource)) outlook.settles = true;
    else if (at > outlook.at) outlook.at = resource.kind === 'cooldown' && at - now > maxCooldownWaitMs ? Infinity : at;
  }
  return outlook;
}

export function evaluate<T extends Capacity, A extends Applicant<T>>(
  applicant: A,
  since: Instant,
  now: Instant,
  isHeld: IsHeld,
  choose: Choose<T, A>,
): Evaluation<T> {
  const result: Evaluation<T> = { target: null, wakeAt: Infinity, feasible: false, ownBlocked: false, holds: [] };
  const patienceEnds = since + applicant.patienceMs;
  let bestAt = Infinity;
  let best: T | null = null;
  let betterTierWorthIt = false;
  for (const tier of applicant.tiers) {
    const startable: T[] = [];
    let tierAt = Infinity;
    let settles = false;
    for (const target of tier) {
      const outlook = lookAt(applicant, target, now, isHeld);
      if (outlook.at <= now && !outlook.settles) {
        startable.push(target);
        continue;
      }
      if (outlook.at > applicant.waitUntil) continue;
      result.feasible = true;
      if (outlook.settles) settles = true;
      else tierAt = Math.min(tierAt, outlook.at);
      if (best === null || outlook.at < bestAt) [best, bestAt] = [target, outlook.at];
    }
    result.wakeAt = Math.min(result.wakeAt, tierAt);
    if (startable.length > 0) {
      result.feasible = true;
      if (!betterTierWorthIt) {
        const own = lookAtOwn(applicant, startable[0]!, now);
        if (own.at <= now && !own.settles) {
          result.target = startable.length === 1 ? startable[0]! : choose(startable, applicant, now);
          return result;
        }
        result.ownBlocked = true;
        result.feasible = own.at <= applicant.waitUntil;
        result.wakeAt = own.settles ? Infinity : own.at;
        return result;
      }
      result.wakeAt = Math.min(result.wakeAt, patienceEnds);
      break;
    }
    if (patienceEnds > now && (settles || tierAt <= patienceEnds)) betterTierWorthIt = true;
  }
  if (best !== null) result.holds = blockingResources(applicant, best, now);
  return result;
}

function lookAt<T extends Capacity>(applicant: Applicant<T>, target: T, now: Instant, isHeld: IsHeld): Outlook {
  const outlook = look(target.resources, applicant.needOn(target), now, isHeld, applicant.maxCooldownWaitMs);
  const notBefore = applicant.notBefore(target);
  if (notBefore > outlook.at) outlook.at = notBefore;
  return outlook;
}

const NOT_HELD: IsHeld = () => false;

function lookAtOwn<T extends Capacity>(applicant: Applicant<T>, target: T, now: Instant): Outlook {
  if (applicant.own.length === 0) return { at: now, settles: false };
  return look(applicant.own, applicant.needOn(target), now, NOT_HELD, Infinity);
}

function blockingResources<T extends Capacity>(applicant: Applicant<T>, target: T, now: Instant): Resource[] {
  const need = applicant.needOn(target);
  return target.resources.filter((resource) => {
    if (!HOLDABLE.has(resource.kind)) return false;
    const at = resource.earliest(now, need);
    return at === WHEN_SETTLED || at > now;
  });
}

/** The refusal's honest words: what holds back each target, and when the first could have started. */
export function refusal<T extends Capacity>(why: Refusal['why'], applicant: Applicant<T>, now: Instant): Refusal {
  const blockers: Blocker[] = [];
  let earliest = Infinity;
  let limited = false;
  for (const tier of applicant.tiers) {
    for (const target of tier) {
      const found = blockersOf(target.key, [...target.resources, ...applicant.own], applicant.needOn(target), now);
      blockers.push(...found.blockers);
      earliest = Math.min(earliest, Math.max(found.at, applicant.notBefore(target)));
      if (found.blockers.every((b) => LIMITS.has(b.kind as ResourceKind)) && found.at < Infinity) limited = true;
    }
  }
  return { kind: 'refuse', why, earliest: earliest === Infinity ? null : earliest, limited, blockers };
}

function blockersOf(key: string, resources: readonly Resource[], need: Need, now: Instant): { blockers: Blocker[]; at: Instant } {
  const blockers: Blocker[] = [];
  let at = now;
  for (const resource of resources) {
    const free = resource.earliest(now, need);
    if (free === WHEN_SETTLED) blockers.push({ target: key, kind: resource.kind, waitMs: null });
    else if (free > now) blockers.push({ target: key, kind: resource.kind, waitMs: free - now });
    at = Math.max(at, free);
  }
  return { blockers, at };
}
