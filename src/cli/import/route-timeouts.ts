/** The timeouts of routes: the source has them for each deployment, a route for all its targets. */
import { policySettings } from '../../gateway/config/policy-schema.ts';
import type { Draft, Timeouts } from './draft.ts';
import { timeoutPolicy } from './policy.ts';

const { timeouts, deadline } = policySettings.defaults;

interface Default {
  readonly shortestMs: number;
  readonly longestMs: number;
}

const ATTEMPT: Default = { shortestMs: timeouts.attempt, longestMs: timeouts.attempt };
/** The automatic timeouts of the first content: of most models, and of reasoning models. */
const FIRST_CONTENT: Default = { shortestMs: 60_000, longestMs: 300_000 };
const NONE: Timeouts = { attemptMs: null, firstContentMs: null };

/** Of two deployments that are one target. */
export function longerOf(a: Timeouts, b: Timeouts): Timeouts {
  const longer = (one: number | null, other: number | null): number | null =>
    one === null || other === null ? null : Math.max(one, other);
  return { attemptMs: longer(a.attemptMs, b.attemptMs), firstContentMs: longer(a.firstContentMs, b.firstContentMs) };
}

/** Gives every route the longest timeouts of its targets. `general`: for those without. */
export function addRouteTimeouts(draft: Draft, general: Timeouts): void {
  const deadlineMs = Math.max(deadline, general.attemptMs ?? 0);
  for (const [name, route] of draft.routes) {
    const all = route.tiers.flat().map((target) => target.timeouts ?? NONE);
    const where = `model ${name}`;
    const attempts = all.map(({ attemptMs }) => attemptMs ?? general.attemptMs);
    const firsts = all.map(({ firstContentMs }) => firstContentMs ?? general.firstContentMs);
    const attemptMs = longest(attempts, general.attemptMs, ATTEMPT);
    const firstContentMs = longest(firsts, general.firstContentMs, FIRST_CONTENT);
    if (new Set(attempts).size > 1 || new Set(firsts).size > 1)
      draft.note(where, 'the timeouts of its targets differ: a route has one for all of them, the longest, or the default');
    draft.route(name, { ...route, policy: timeoutPolicy(draft, where, { attemptMs, firstContentMs }, deadlineMs) });
  }
}

/** Null: `general` applies, or the default, which a target without a timeout has. */
function longest(all: readonly (number | null)[], general: number | null, own: Default): number | null {
  const known = all.filter((one) => one !== null);
  const most = Math.max(0, ...known);
  if (known.length === all.length) return most === general ? null : most;
  return most <= own.shortestMs ? null : Math.max(most, own.longestMs);
}
