/** What was learned, for the metrics: the same limits, places and estimates that `/admin/targets` shows. */
import type { Instant } from '../core/clock.ts';
import type { LimitLearner } from '../pipeline/route/limit-learner.ts';
import type { EstimateLevel, ResourceLevel } from '../telemetry/snapshot.ts';
import type { TargetRegistry } from './targets.ts';

const WINDOWS: Readonly<Record<number, string>> = { 1_000: 'PerSecond', 60_000: 'PerMinute', 86_400_000: 'PerDay' };

/** `openai#1:learned:tokensPerMinute`, `openai/gpt:learned:concurrency`; limits of one scope once, whichever of its targets is asked. */
export function learnedLevels(targets: TargetRegistry, now: Instant): ResourceLevel[] {
  const levels: ResourceLevel[] = [];
  const scopes = new Set<LimitLearner>();
  const ids = new Set<string>();
  const add = (level: ResourceLevel): void => {
    // Two families of headers may tell of the same, and all keys of a target share its places: one of each is enough.
    if (ids.has(level.id)) return;
    ids.add(level.id);
    levels.push(level);
  };
  for (const { name, cooldownSubject, rates, concurrency } of targets.all()) {
    if (concurrency.limit !== Infinity) {
      add({ id: `${name}:learned:concurrency`, kind: 'concurrency', limit: concurrency.limit, available: concurrency.available() });
    }
    if (rates === null || scopes.has(rates)) continue;
    scopes.add(rates);
    for (const rate of [rates.requests, rates.tokens]) {
      for (const { counts, source, windowMs, limit, available } of rate.known(now)) {
        const what = counts === 'all' ? rate.kind : `${counts}Tokens`;
        const id = `${cooldownSubject}:learned:${what}${WINDOWS[windowMs] ?? `Per${windowMs}ms`}${source === 'paced' ? ':paced' : ''}`;
        add({ id, kind: rate.kind, limit, available });
      }
    }
  }
  return levels;
}

/** By target, whoever's key was used. */
export function estimateLevels(targets: TargetRegistry): EstimateLevel[] {
  const known = new Map<string, EstimateLevel>();
  for (const { name, input } of targets.all()) {
    if (known.has(name) || input.save() === null) continue;
    known.set(name, { target: name, inputFactor: input.factor, cachedShare: input.cachedShare });
  }
  return [...known.values()];
}
