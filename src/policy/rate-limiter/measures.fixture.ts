import type { LimitMeasure, LimitOptions } from './token-bucket.ts';

export const REQUESTS: LimitMeasure = { of: (need) => need.requests, used: () => null };
export const TOKENS: LimitMeasure = {
  of: (need) => need.inputTokens + need.outputTokens,
  used: (usage) => usage.inputTokens - usage.cachedInputTokens + usage.outputTokens,
};

export function requestLimit(limit: number, windowMs: number, burst = 1): LimitOptions {
  return { id: 'p#1:requests', kind: 'requests', limit, windowMs, burst, measure: REQUESTS };
}

export function tokenLimit(limit: number, windowMs: number, burst = 1): LimitOptions {
  return { id: 'p#1:tokens', kind: 'tokens', limit, windowMs, burst, measure: TOKENS };
}
