/** Chooses among the targets of a tier that can start now (docs/decisions/013-weighted-rotation.md). */
import type { Instant } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';

/** The virtual time of a tier: how far its targets have been served, each by its weight. */
export interface TierClock {
  now: number;
}

export interface Weighted {
  /** Its share of the tier's requests; above 0. */
  readonly weight: number;
  /** Hashed for affinity; the same for the same target whatever the order of the list. */
  readonly affinityKey: string;
  /** Shared by the tier. */
  readonly time: TierClock;
  /** The virtual time of its next turn. */
  turn: number;
  /** Factor by which it is slower than the fastest of its tier, beyond the tolerance; 1: it is not. */
  slowness: number;
  /** Recent success rate, in (0, 1]. */
  healthAt(now: Instant): number;
  /** Expected time to first content of this kind of call, in milliseconds; null: unknown. */
  expectedMs(kind: number, now: Instant): number | null;
}

/**
 * A target may be this many times slower than the fastest before it loses weight: the configured weights already reflect how providers
 * differ, and equal ones differ by chance.
 */
const SLOWNESS_TOLERATED = 2;
/** Faster than this, in milliseconds, counts as this. */
const FAST_MS = 100;
/** Beyond the tolerance a target loses weight by this power of its slowness, because each of its requests would be faster elsewhere. */
const SLOWNESS_POWER = 3;
/** The bound of the slowness: without calls a target could never recover. */
const SLOWNESS_MAX = 20;
/** Failed attempts cost more than their share, because each needs another call. */
const HEALTH_POWER = 2;

/**
 * Chooses by weight, corrected for health and for the expected time to first content, so that a target that fails or slows down loses
 * traffic before its breaker opens. Targets take turns (weighted fair queueing) instead of being drawn at random, so that few requests are
 * shared as evenly as many; ties are broken at random. A target that was unavailable does not catch up on the turns that it missed.
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

/** Called for every start, also where no choice was made: sets the target's next turn, later for smaller weights. */
export function takeTurn(target: Weighted, now: Instant): void {
  const at = Math.max(target.turn, target.time.now);
  target.time.now = at;
  target.turn = at + target.slowness / (target.weight * target.healthAt(now) ** HEALTH_POWER);
}

/** Sets the slowness of each relative to the fastest. */
function compare(startable: readonly Weighted[], kind: number, now: Instant): void {
  let fastestMs = Infinity;
  for (const target of startable) fastestMs = Math.min(fastestMs, target.expectedMs(kind, now) ?? Infinity);
  for (const target of startable) {
    const expectedMs = target.expectedMs(kind, now) ?? 0;
    target.slowness = Math.min(
      SLOWNESS_MAX,
      Math.max(1, expectedMs / (SLOWNESS_TOLERATED * Math.max(FAST_MS, fastestMs))) ** SLOWNESS_POWER,
    );
  }
}

/** The same target for the same key while it can start, so that prompt caches are used (weighted rendezvous hashing). */
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
