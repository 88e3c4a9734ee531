/** Saves and restores learned state. Invalid values are ignored. */
import type { Instant } from '../core/clock.ts';
import { isRecord } from '../core/json.ts';
import type { LearnedLevel } from '../policy/rate-limiter/learned-rate.ts';
import type { AdvertisedLevel } from '../policy/rate-limiter/advertised-limit.ts';
import type { SavedOutput } from '../policy/token-estimate.ts';
import type { LimitLearner } from '../pipeline/route/limit-learner.ts';
import type { TargetState } from '../pipeline/route/route.ts';

export function saveRates({ requests, tokens, cached }: LimitLearner, now: Instant, epochMs: number): object | null {
  const saved = { requests: requests.save(now, epochMs), tokens: tokens.save(now, epochMs), countsCached: cached.counts };
  return saved.requests === null && saved.tokens === null ? null : saved;
}

export function restoreRates({ requests, tokens, cached }: LimitLearner, now: Instant, epochMs: number, saved: unknown): void {
  if (!isRecord(saved)) return;
  if (typeof saved['countsCached'] === 'boolean') cached.restore(saved['countsCached']);
  const [ofRequests, ofTokens] = [readLevel(saved['requests']), readLevel(saved['tokens'])];
  if (ofRequests !== null) requests.restore(now, epochMs, ofRequests);
  if (ofTokens !== null) tokens.restore(now, epochMs, ofTokens);
}

/** Times are rounded to minutes, so that an unchanged limit is not written repeatedly. */
const MINUTE_MS = 60_000;

export function saveTarget({ concurrency, input, output }: TargetState, epochMs: number): object | null {
  const limit = concurrency.save(Math.ceil(epochMs / MINUTE_MS) * MINUTE_MS);
  const factors = input.save();
  const outputs = output.save();
  if (limit === null && outputs.length === 0 && factors === null) return null;
  return { concurrency: limit, input: factors, output: outputs };
}

export function restoreTarget({ concurrency, input, output }: TargetState, now: Instant, epochMs: number, saved: unknown): void {
  if (!isRecord(saved)) return;
  const limit = saved['concurrency'];
  if (isRecord(limit) && isNumber(limit['limit']) && isNumber(limit['epochMs'])) {
    concurrency.restore(now, epochMs, { limit: limit['limit'], epochMs: limit['epochMs'] });
  }
  const factors = saved['input'];
  if (isRecord(factors)) input.restore({ all: readFactors(factors['all']), uncached: readFactors(factors['uncached']) });
  if (Array.isArray(saved['output'])) output.restore(saved['output'].filter(isOutput));
}

function readFactors(value: unknown): (number | null)[] {
  return Array.isArray(value) ? value.map((factor) => (isNumber(factor) ? factor : null)) : [];
}

function readLevel(value: unknown): LearnedLevel | null {
  if (!isRecord(value) || !Array.isArray(value['reported'])) return null;
  const paced = value['paced'];
  const isPaced = isRecord(paced) && isNumber(paced['perMinute']) && paced['perMinute'] > 0 && isNumber(paced['confirmed']);
  return {
    reported: value['reported'].filter(isAdvertised),
    paced: isPaced ? { perMinute: paced['perMinute'] as number, confirmed: paced['confirmed'] as number } : null,
  };
}

function isAdvertised(value: unknown): value is AdvertisedLevel {
  if (!isRecord(value)) return false;
  const { counts, windowMs, limit, isGuess } = value;
  const isCounted = counts === 'all' || counts === 'input' || counts === 'output';
  const isLimit = isNumber(windowMs) && windowMs > 0 && isNumber(limit) && limit > 0 && typeof isGuess === 'boolean';
  const { taken } = value;
  if (taken !== undefined && !(Array.isArray(taken) && taken.every(isTaken))) return false;
  return isCounted && isLimit && ['family', 'level', 'epochMs', 'confirmedEpochMs'].every((name) => isNumber(value[name]));
}

function isTaken(value: unknown): boolean {
  return isRecord(value) && isNumber(value['epochMs']) && isNumber(value['amount']) && value['amount'] >= 0;
}

function isOutput(value: unknown): value is SavedOutput {
  return isRecord(value) && typeof value['client'] === 'string' && isNumber(value['tokens']);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
