/** Which of a tier's targets that can start now gets the request. */
import type { Random } from '../../core/random.ts';

/** The virtual time of a tier: how far its targets have been served, each by its weight. */
export interface TierTime {
  now: number;
}

export interface Weighted {
  /** Share of the tier's requests, above 0. */
  readonly weight: number;
  /** Recent share of successes, in (0, 1]. */
  readonly health: number;
  /** What affinity hashes: the same for the same place whatever the order of the list. */
  readonly affinityKey: string;
  /** Shared by the tier. */
  readonly time: TierTime;
  /** The virtual time of its next turn. */
  turn: number;
}

/**
 * By weight, corrected for health: a target that fails often loses weight before its breaker opens. In turn and not by chance, so
 * that a few requests are shared as evenly as many; chance decides among those whose turn it is. A target that was out for a while
 * does not catch up on what it missed.
 */
export function chooseByWeight<T extends Weighted>(startable: readonly T[], random: Random): T {
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
export function takeTurn(target: Weighted): void {
  const at = Math.max(target.turn, target.time.now);
  target.time.now = at;
  target.turn = at + 1 / (target.weight * target.health);
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
