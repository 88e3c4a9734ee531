import type { Instant } from '../../core/clock.ts';
import type { Blocker } from '../../core/events.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Capacity, Need, Resource, ResourceKind } from '../../core/resource.ts';
import type { Applicant, Refusal } from './types.ts';

/** Kinds that count as limits. */
const LIMITS: ReadonlySet<ResourceKind> = new Set(['requests', 'tokens', 'concurrency', 'cooldown', 'client', 'budget']);

function isBlocked(at: Instant, now: Instant): boolean {
  return at === WHEN_SETTLED || at > now;
}

/**
 * Creates a refusal: what blocks each target, and when the first one could have started the request. `expected`: that instant with all
 * requests ahead of it counted; null: there are none.
 */
export function refusal<T extends Capacity>(
  why: Refusal['why'],
  applicant: Applicant<T>,
  now: Instant,
  expected: Instant | null = null,
): Refusal {
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
  if (expected !== null && expected < Infinity) earliest = expected;
  return { kind: 'refuse', why, earliest: earliest === Infinity ? null : earliest, limited, blockers };
}

/** `known` is false where only the end of another permit is waited for, whose instant is unknown. */
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
