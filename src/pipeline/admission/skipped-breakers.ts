/** Tells open breakers that requests go without their targets: what is missed is asked again sooner (policy/circuit-breaker). */
import type { Start } from '../../policy/scheduler/types.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';

/** A request has looked at its tiers. True if some target may be asked sooner now, so that those who wait are to be looked at. */
export function noteSkipped(tiers: Tiers, started: Start<RouteTarget> | null): boolean {
  let isNews = false;
  for (const tier of tiers) {
    let last: RouteTarget | null = null;
    for (const target of tier) {
      const { breaker } = target.state;
      // Credentials of one model stand side by side and have one breaker.
      if (breaker.state === 'open' && breaker !== last?.state.breaker && breaker.miss()) isNews = true;
      last = target;
    }
    if (started !== null && tier.includes(started.target)) break;
  }
  return isNews;
}
