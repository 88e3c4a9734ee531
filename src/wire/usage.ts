import type { TokenUsage } from '../core/facts.ts';
import { isRecord } from '../core/json.ts';

/** More than any call uses. A higher count is a provider's mistake, which would block limits permanently. */
const TOKENS_MAX = 10_000_000;

/** About how many characters a token has, where a provider reports no usage. */
export const CHARS_PER_TOKEN = 4;

/**
 * Token counts of a `usage` object in any variant of the OpenAI protocol, or null if it has none. Cached input is in
 * `prompt_tokens_details` (OpenAI), `prompt_cache_hit_tokens` (DeepSeek) or `cached_tokens` (Moonshot), and always part of the input.
 * `serviceTier`: as the response names it.
 */
export function readUsage(usage: unknown, serviceTier: unknown = null): TokenUsage | null {
  if (!isRecord(usage)) return null;
  const input = tokenCount(usage['prompt_tokens'] ?? usage['input_tokens']);
  const output = tokenCount(usage['completion_tokens'] ?? usage['output_tokens']);
  if (input === null && output === null) return null;
  const total = tokenCount(usage['total_tokens']) ?? 0;
  const inputTokens = input ?? Math.max(0, total - output!);
  const details = usage['prompt_tokens_details'] ?? usage['input_tokens_details'];
  const cached =
    tokenCount(isRecord(details) ? details['cached_tokens'] : null) ??
    tokenCount(usage['prompt_cache_hit_tokens']) ??
    tokenCount(usage['cached_tokens']) ??
    0;
  const written = tokenCount(isRecord(details) ? details['cache_write_tokens'] : null);
  const outputDetails = usage['completion_tokens_details'] ?? usage['output_tokens_details'];
  const audioOutput = isRecord(outputDetails) ? tokenCount(outputDetails['audio_tokens']) : null;
  const reasoning = tokenCount(isRecord(outputDetails) ? outputDetails['reasoning_tokens'] : null);
  return {
    inputTokens,
    cachedInputTokens: Math.min(cached, inputTokens),
    // Some providers exclude reasoning from the output, but not from the total.
    outputTokens: Math.max(output ?? 0, total - inputTokens),
    ...(written === null || written === 0 ? {} : { cacheWriteTokens: written }),
    ...(reasoning === null || reasoning === 0 ? {} : { reasoningTokens: reasoning }),
    ...(isRecord(details) ? inputKinds(tokenCount(details['audio_tokens']), tokenCount(details['image_tokens'])) : {}),
    ...(audioOutput === null || audioOutput === 0 ? {} : { audioOutputTokens: audioOutput }),
    ...billedTier(serviceTier),
  };
}

/** Input of kinds that have prices of their own. */
export function inputKinds(audio: number | null, image: number | null): Pick<TokenUsage, 'audioInputTokens' | 'imageInputTokens'> {
  return {
    ...(audio === null || audio === 0 ? {} : { audioInputTokens: audio }),
    ...(image === null || image === 0 ? {} : { imageInputTokens: image }),
  };
}

/** The class of service that a response names, where it is not the standard one. */
export function billedTier(value: unknown): Pick<TokenUsage, 'serviceTier'> {
  return value === 'batch' || value === 'flex' || value === 'priority' ? { serviceTier: value } : {};
}

/** A token count, or null if it is implausible. */
export function tokenCount(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 && value <= TOKENS_MAX ? Math.ceil(value) : null;
}
