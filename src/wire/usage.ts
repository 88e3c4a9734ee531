import type { TokenUsage } from '../core/facts.ts';
import { isRecord } from './json-values.ts';

/** No call uses more tokens than this; a higher count is a slip of the provider, and limits would wait for it for ever. */
const TOKENS_MAX = 10_000_000;

/**
 * Token counts of a `usage` object in any dialect of the OpenAI protocol, or null if it holds none. Cached input stands in
 * `prompt_tokens_details` (OpenAI), `prompt_cache_hit_tokens` (DeepSeek) or `cached_tokens` (Moonshot), and is part of
 * the input everywhere here.
 */
export function readUsage(usage: unknown): TokenUsage | null {
  if (!isRecord(usage)) return null;
  const inputTokens = count(usage['prompt_tokens'] ?? usage['input_tokens']);
  const outputTokens = count(usage['completion_tokens'] ?? usage['output_tokens']);
  if (inputTokens === null && outputTokens === null) return null;
  const details = usage['prompt_tokens_details'] ?? usage['input_tokens_details'];
  const cached =
    count(isRecord(details) ? details['cached_tokens'] : null) ??
    count(usage['prompt_cache_hit_tokens']) ??
    count(usage['cached_tokens']) ??
    0;
  return { inputTokens: inputTokens ?? 0, cachedInputTokens: Math.min(cached, inputTokens ?? 0), outputTokens: outputTokens ?? 0 };
}

function count(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 && value <= TOKENS_MAX ? value : null;
}
