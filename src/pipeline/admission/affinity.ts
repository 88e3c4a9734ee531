/**
 * Affinity: a conversation has a home, one credential of one target, so that the provider's prompt cache is used (design 4.1), and so
 * that it can read the signed reasoning that it made: the maker of the latest of it comes before the place that the session's name gives.
 *
 * Its home stands before the rest of its tier like a better tier of its own: `patience` says how long it is worth waiting for, and
 * beyond that the rest of the tier answers. Nobody else is held up by those who wait for their home: they stand in a lane of their
 * own. What is out of order for longer than that is nobody's home: then the next one in the conversation's own order is, so that it
 * stays there until the first comes back.
 */
import type { Instant } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import { chooseByAffinity, chooseByWeight } from '../../policy/selection/selection.ts';
import type { Source } from '../../core/source.ts';
import type { RouteApplicant } from './admission.ts';
import { isKeyOutOfOrder, pausedMs } from '../route/route.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';

/** The same tiers for the same home, so that those who wait share a lane; gone with the route. */
const known = new WeakMap<Tiers, Map<RouteTarget, Tiers>>();

/** Which of a tier's targets that can start now gets the request: the conversation's own, else by weight. */
export function choose(startable: readonly RouteTarget[], applicant: RouteApplicant, now: Instant, random: Random): RouteTarget {
  const safe = applicant.isLast ? startable.filter(({ state }) => !state.credential.bench.isInDoubt) : startable;
  const from = safe.length === 0 ? startable : safe;
  const home = affinityTarget(from, applicant);
  if (home !== null) return home;
  return chooseByWeight(withoutSuspected(from, now), applicant.kind, now, random);
}

/** The maker of what the request holds, else the conversation's own place; null: it has none. */
function affinityTarget(
  targets: readonly RouteTarget[],
  { preferred, affinityKey }: Pick<RouteApplicant, 'affinityKey' | 'preferred'>,
): RouteTarget | null {
  const maker = preferred.find((target) => targets.includes(target));
  if (maker !== undefined) return maker;
  return affinityKey === null ? null : chooseByAffinity(targets, affinityKey);
}

/** Those whose credential was not refused a moment ago; all of them where there is no such one. */
function withoutSuspected(targets: readonly RouteTarget[], now: Instant): readonly RouteTarget[] {
  if (!targets.some(({ state }) => state.credential.bench.isAvoided(now))) return targets;
  const others = targets.filter(({ state }) => !state.credential.bench.isAvoided(now));
  return others.length === 0 ? targets : others;
}

/** `tiers` with the home of the conversation split off from its tier; `tiers` itself where there is no choice. */
export function withAffinityFirst(
  tiers: Tiers,
  applicant: Pick<RouteApplicant, 'affinityKey' | 'preferred' | 'isLast' | 'source'>,
  now: Instant,
  patienceMs: number,
): Tiers {
  const { affinityKey, preferred, isLast, source } = applicant;
  if (affinityKey === null && preferred.length === 0) return tiers;
  for (const tier of tiers) {
    const inOrder = tier.filter(
      (target) => isAffinityCandidate(target, now, patienceMs, source) && !(isLast && target.state.credential.bench.isInDoubt),
    );
    if (inOrder.length === 0) continue;
    const home = tier.length === 1 ? null : affinityTarget(inOrder, applicant);
    return home === null ? tiers : split(tiers, tier, home);
  }
  return tiers;
}

/** Nothing but its limits keeps it from starting within patience; a credential that another request is just trying is no home. */
function isAffinityCandidate({ state }: RouteTarget, now: Instant, patienceMs: number, source: Source): boolean {
  return pausedMs(state, now) <= patienceMs && !isKeyOutOfOrder(state, now, source) && state.breaker.earliest(now) === now;
}

function split(tiers: Tiers, at: Tiers[number], home: RouteTarget): Tiers {
  let homes = known.get(tiers);
  if (homes === undefined) known.set(tiers, (homes = new Map()));
  let made = homes.get(home);
  if (made === undefined) {
    made = tiers.flatMap((tier) => (tier === at ? [[home], tier.filter((target) => target !== home)] : [tier]));
    homes.set(home, made);
  }
  return made;
}
