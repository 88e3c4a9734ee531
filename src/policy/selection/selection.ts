/** Which of a tier's targets that can start now gets the request (docs/decisions/013-turns-by-weight.md). */
import type { Instant } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';

/** The virtual time of a tier: how far its targets have been served, each by its weight. */
export interface TierClock {
  now: number;
}

export interface Weighted {
  /** Share of the tier's requests, above 0. */
  readonly weight: number;
  /** What affinity hashes: the same for the same place whatever the order of the list. */
  readonly affinityKey: string;
  /** Shared by the tier. */
  readonly time: TierClock;
  /** The virtual time of its next turn. */
  turn: number;
  /** By how much it lags behind the quickest of its tier, as far as that counts; 1: not at all. */
  slowness: number;
  /** Recent share of successes, in (0, 1]. */
  healthAt(now: Instant): number;
  /** Milliseconds until first content that a call of this kind has to expect there; null: not known. */
  expectedMs(kind: number, now: Instant): number | null;
}

/**
 * How much slower than the quickest a target may be before that counts. Providers differ, and whoever set the weights knew them; what
 * is seen of equal ones differs by chance.
 */
const SLOWNESS_IGNORED = 2;
/** Below this nobody is slow, in milliseconds. */
const QUICK_MS = 100;
/** Beyond that it loses weight faster than it is slower: its callers would be better off elsewhere, each by so much. */
const SLOWNESS_POWER = 3;
/** However slow, it is asked sometimes: what is never asked can never recover. */
const SLOWNESS_MAX = 20;
/** Failed attempts cost more than their share: each is made good by another call. */
const HEALTH_POWER = 2;

/**
 * By weight, corrected for health and for the expected time to first content: a target that fails often loses weight before its breaker
 * opens, so does one that is slow. In turn and not by chance, so that a few requests are shared as evenly as many; chance
 * decides among those whose turn it is. A target that was out for a while does not catch up on what it missed.
 */
export function chooseByWeight<T extends Weighted>(startable: readonly T[], kind: number, now: Instant, random: Random): T {
  compare(startable, kind, now);
  let best = startable[0]!;
  let bestAt = Infinity;
  let ties = 0;
  for (const target of startable) {
    const at = Math.max(target.turn, target.time.now);
    if (at > bestAt) continue;
    ties = at === bestAt ? ties + 1 : 1;
    if (ties === 1 || random.next() * ties < 1) best = target;
    bestAt = at;
  }
  return best;
}

/** A request starts on the target, whoever chose it: its next turn comes the later, the smaller its weight. */
export function takeTurn(target: Weighted, now: Instant): void {
  const at = Math.max(target.turn, target.time.now);
  target.time.now = at;
  target.turn = at + target.slowness / (target.weight * target.healthAt(now) ** HEALTH_POWER);
}

/** How slow each is beside the quickest. */
function compare(startable: readonly Weighted[], kind: number, now: Instant): void {
  let quickestMs = Infinity;
  for (const target of startable) quickestMs = Math.min(quickestMs, target.expectedMs(kind, now) ?? Infinity);
  for (const target of startable) {
    const expectedMs = target.expectedMs(kind, now) ?? 0;
    target.slowness = Math.min(
      SLOWNESS_MAX,
      Math.max(1, expectedMs / (SLOWNESS_IGNORED * Math.max(QUICK_MS, quickestMs))) ** SLOWNESS_POWER,
    );
  }
}

/** The same place for the same key as long as it is there (rendezvous hashing, weighted), so that prompt caches are used. */
export function chooseByAffinity<T extends Weighted>(startable: readonly T[], key: string): T {
  let best = startable[0]!;
  let bestScore = -Infinity;
  for (const target of startable) {
    const unit = (fnv1a(`${key}\u0000${target.affinityKey}`) + 0.5) / 2 ** 32;
    const score = -target.weight / Math.log(unit);
    if (score > bestScore) [best, bestScore] = [target, score];
  }
  return best;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return (hash ^ (hash >>> 15)) >>> 0;
}
