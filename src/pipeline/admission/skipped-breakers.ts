/** Reports to open breakers that requests skip their targets: a skipped target is probed sooner (policy/circuit-breaker). */
import type { Start } from '../../policy/scheduler/types.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';

/** Counts the open breakers of the tiers that a request evaluated. True if some target may be probed sooner: re-evaluate waiting requests. */
export function noteSkipped(tiers: Tiers, started: Start<RouteTarget> | null): boolean {
  let mayProbeSooner = false;
  for (const tier of tiers) {
    let last: RouteTarget | null = null;
    for (const target of tier) {
      const { breaker } = target.state;
      // Credentials of one model are adjacent and share one breaker.
      if (breaker.state === 'open' && breaker !== last?.state.breaker && breaker.noteSkipped()) mayProbeSooner = true;
      last = target;
    }
    if (started !== null && tier.includes(started.target)) break;
  }
  return mayProbeSooner;
}
