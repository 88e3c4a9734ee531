/**
 * Session affinity: a conversation stays on one credential of one target, so that the provider's prompt cache is used. The
 * maker of the latest signed reasoning in the conversation comes first, as only that target can read it; otherwise the session key chooses.
 *
 * The affinity target is placed before the rest of its tier, like a better tier of its own: it is waited for up to `patience`, then the
 * rest of the tier is used. Requests waiting for it queue separately and do not delay others. A target that is out of order for longer
 * than `patience` is replaced by the next one in the conversation's own order until it recovers.
 */
import type { Instant } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import { chooseByAffinity, chooseByWeight } from '../../policy/selection/selection.ts';
import type { Source } from '../../core/source.ts';
import type { RouteApplicant } from './admission.ts';
import { isKeyOutOfOrder, pausedMs } from '../route/route.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';

/** The same tiers for the same affinity target, so that waiting requests share a queue; released with the route. */
const known = new WeakMap<Tiers, Map<RouteTarget, Tiers>>();

/** Selects among the targets of a tier that can start now: the affinity target, otherwise by weight. */
export function choose(startable: readonly RouteTarget[], applicant: RouteApplicant, now: Instant, random: Random): RouteTarget {
  const safe = applicant.isLast ? startable.filter(({ state }) => !state.credential.quarantine.isInDoubt) : startable;
  const from = safe.length === 0 ? startable : safe;
  const affine = affinityTarget(from, applicant);
  if (affine !== null) return affine;
  return chooseByWeight(withoutSuspected(from, now), applicant.kind, now, random);
}

/** The maker of opaque pieces in the request, otherwise the target that the session key selects; null: none. */
function affinityTarget(
  targets: readonly RouteTarget[],
  { preferred, affinityKey }: Pick<RouteApplicant, 'affinityKey' | 'preferred'>,
): RouteTarget | null {
  const maker = preferred.find((target) => targets.includes(target));
  if (maker !== undefined) return maker;
  return affinityKey === null ? null : chooseByAffinity(targets, affinityKey);
}

/** The targets whose credential was not refused recently; all of them if there are none. */
function withoutSuspected(targets: readonly RouteTarget[], now: Instant): readonly RouteTarget[] {
  if (!targets.some(({ state }) => state.credential.quarantine.isAvoided(now))) return targets;
  const others = targets.filter(({ state }) => !state.credential.quarantine.isAvoided(now));
  return others.length === 0 ? targets : others;
}

/** `tiers` with the affinity target split off from its tier; `tiers` itself where there is no choice. */
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
      (target) => isAffinityCandidate(target, now, patienceMs, source) && !(isLast && target.state.credential.quarantine.isInDoubt),
    );
    if (inOrder.length === 0) continue;
    const affine = tier.length === 1 ? null : affinityTarget(inOrder, applicant);
    return affine === null ? tiers : split(tiers, tier, affine);
  }
  return tiers;
}

/** True if nothing but its limits keeps it from starting within patience. A credential on trial is excluded. */
function isAffinityCandidate({ state }: RouteTarget, now: Instant, patienceMs: number, source: Source): boolean {
  return pausedMs(state, now) <= patienceMs && !isKeyOutOfOrder(state, now, source) && state.breaker.earliest(now) === now;
}

function split(tiers: Tiers, at: Tiers[number], affine: RouteTarget): Tiers {
  let variants = known.get(tiers);
  if (variants === undefined) known.set(tiers, (variants = new Map()));
  let made = variants.get(affine);
  if (made === undefined) {
    made = tiers.flatMap((tier) => (tier === at ? [[affine], tier.filter((target) => target !== affine)] : [tier]));
    variants.set(affine, made);
  }
  return made;
}
