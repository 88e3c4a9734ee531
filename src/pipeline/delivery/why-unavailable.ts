/** Why each target of a request is unavailable, for its caller: without keys, prompts or data of other clients. */
import type { Instant } from '../../core/clock.ts';
import { describeCause } from '../retry/credential-blame.ts';
import type { Source } from '../../core/source.ts';
import { pausedMs } from '../route/route.ts';
import type { RouteTarget, TargetState, Tiers } from '../route/route.ts';

/** Number of targets listed; the rest is counted. */
const LISTED_MAX = 8;

/** `a/m: breaker open for 4.2 s; b/m: credential 2 quarantined for 300.0 s, …`; `limitsOf`: describes the limits that block a target. */
export function whyUnavailable(tiers: Tiers, source: Source, now: Instant, limitsOf: (target: RouteTarget) => string): string {
  const targets = tiers.flat();
  // Reasons of the target itself are the same for each of its credentials: listed once.
  const listed = new Set(
    targets.map((target) => `${target.state.name}: ${reasons(target.state, source, now).join(', ') || limitsOf(target) || 'busy'}`),
  );
  const list = [...listed].slice(0, LISTED_MAX);
  return listed.size > LISTED_MAX ? `${list.join('; ')}; and ${listed.size - LISTED_MAX} more` : list.join('; ');
}

function reasons(state: TargetState, source: Source, now: Instant): string[] {
  const found = [...breakerReasons(state, source, now), ...quarantineReasons(state, source, now)];
  const pauseMs = pausedMs(state, now);
  if (pauseMs > 0) found.push(`paused for another ${seconds(pauseMs)} at its own request`);
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
      return breaker.isRamping ? ['recovering, at its temporary concurrency limit'] : [];
  }
}

function quarantineReasons({ credential: { quarantine, number }, model }: TargetState, source: Source, now: Instant): string[] {
  if (!quarantine.isInDoubtFor(source.client, model)) return [];
  const quarantinedMs = quarantine.remainingMs(now);
  const why = quarantine.cause === null ? '' : ` (${describeCause(quarantine.cause)})`;
  if (quarantinedMs > 0) return [`credential ${number} quarantined for ${seconds(quarantinedMs)}${why}`];
  return [`credential ${number} in doubt${why}: another request is trying it`];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
