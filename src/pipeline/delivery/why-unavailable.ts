/** Why each target of a request can't be used, in words for its caller: no key, no prompt, nothing of anybody else's. */
import type { Instant } from '../../core/clock.ts';
import { causeWords } from '../retry/credential-blame.ts';
import type { Source } from '../../core/source.ts';
import { pausedMs } from '../route/route.ts';
import type { RouteTarget, TargetState, Tiers } from '../route/route.ts';

/** More targets than this are counted only. */
const LISTED_MAX = 8;

/** `a/m: breaker open for 4.2 s; b/m: credential 2 out of order for 300.0 s, …`; `limitsOf`: what its limits keep back, in words. */
export function whyUnavailable(tiers: Tiers, source: Source, now: Instant, limitsOf: (target: RouteTarget) => string): string {
  const targets = tiers.flat();
  // What concerns the target itself is the same with each of its credentials: listed once.
  const listed = new Set(
    targets.map((target) => `${target.state.name}: ${reasons(target.state, source, now).join(', ') || limitsOf(target) || 'busy'}`),
  );
  const list = [...listed].slice(0, LISTED_MAX);
  return listed.size > LISTED_MAX ? `${list.join('; ')}; and ${listed.size - LISTED_MAX} more` : list.join('; ');
}

function reasons(state: TargetState, source: Source, now: Instant): string[] {
  const found = [...breakerReasons(state, source, now), ...quarantineReasons(state, source, now)];
  const pauseMs = pausedMs(state, now);
  if (pauseMs > 0) found.push(`asked for a pause of ${seconds(pauseMs)} more`);
  return found;
}

function breakerReasons({ breaker }: TargetState, source: Source, now: Instant): string[] {
  const heldMs = breaker.heldForMs(now, source);
  if (heldMs > 0) return [`fails for this client or request alone, next trial in ${seconds(heldMs)}`];
  switch (breaker.state) {
    case 'isolated':
      return ['isolated by hand'];
    case 'open':
      return [`breaker open for ${seconds(breaker.openForMs(now) ?? 0)}`];
    case 'half-open':
      return ['breaker half-open: another request probes it'];
    case 'closed':
      return breaker.isRamping ? ['just back, and full for now'] : [];
  }
}

function quarantineReasons({ credential: { bench, number }, model }: TargetState, source: Source, now: Instant): string[] {
  if (!bench.isInDoubtFor(source.client, model)) return [];
  const benchedMs = bench.remainingMs(now);
  const why = bench.cause === null ? '' : ` (${causeWords(bench.cause)})`;
  if (benchedMs > 0) return [`credential ${number} out of order for ${seconds(benchedMs)}${why}`];
  return [`credential ${number} in doubt${why}: another request tries it`];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
