/** Learned limits, concurrency and estimates for the metrics, as in `/admin/targets`. */
import type { Instant } from '../core/clock.ts';
import type { LimitLearner } from '../pipeline/route/limit-learner.ts';
import type { EstimateLevel, ResourceLevel } from '../telemetry/snapshot.ts';
import type { TargetRegistry } from './targets.ts';

const WINDOWS: Readonly<Record<number, string>> = { 1_000: 'PerSecond', 60_000: 'PerMinute', 86_400_000: 'PerDay' };

/** `openai#1:learned:tokensPerMinute`, `openai/gpt:learned:concurrency`; the limits of one scope appear once. */
export function learnedLevels(targets: TargetRegistry, now: Instant): ResourceLevel[] {
  const levels: ResourceLevel[] = [];
  const scopes = new Set<LimitLearner>();
  const ids = new Set<string>();
  const add = (level: ResourceLevel): void => {
    // Two header families may report the same limit, and all keys of a target share its concurrency: each id appears once.
    if (ids.has(level.id)) return;
    ids.add(level.id);
    levels.push(level);
  };
  for (const { name, cooldownSubject, rates, concurrency } of targets.all()) {
    if (concurrency.limit !== Infinity) {
      add({
        subject: name,
        id: `${name}:learned:concurrency`,
        kind: 'concurrency',
        limit: concurrency.limit,
        available: concurrency.available(),
      });
    }
    if (rates === null || scopes.has(rates)) continue;
    scopes.add(rates);
    for (const rate of [rates.requests, rates.tokens]) {
      for (const { counts, source, windowMs, limit, available } of rate.known(now)) {
        const what = counts === 'all' ? rate.kind : `${counts}Tokens`;
        const id = `${cooldownSubject}:learned:${what}${WINDOWS[windowMs] ?? `Per${windowMs}ms`}${source === 'inferred' ? ':inferred' : ''}`;
        add({ subject: cooldownSubject, id, kind: rate.kind, limit, available });
      }
    }
  }
  return levels;
}

/** By target, over all its keys. */
export function estimateLevels(targets: TargetRegistry): EstimateLevel[] {
  const known = new Map<string, EstimateLevel>();
  for (const { name, input } of targets.all()) {
    if (known.has(name) || input.save() === null) continue;
    known.set(name, { target: name, inputFactor: input.factor, cachedShare: input.cachedShare });
  }
  return [...known.values()];
}
