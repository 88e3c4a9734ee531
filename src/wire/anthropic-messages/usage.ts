import type { TokenUsage } from '../../core/facts.ts';
import { isRecord } from '../../core/json.ts';
import type { Fields } from '../loose-values.ts';
import { billedTier, tokenCount } from '../usage.ts';

/**
 * Token counts of a Messages `usage` object, merged over those of an earlier event of the stream; null if there are none. `input_tokens`
 * excludes cache reads and writes.
 */
export function readMessagesUsage(usage: unknown, before: Fields = {}): { readonly usage: TokenUsage; readonly fields: Fields } | null {
  if (!isRecord(usage)) return null;
  const fields = { ...before };
  for (const [name, value] of Object.entries(usage)) if (value !== null && value !== undefined) fields[name] = value;
  const input = tokenCount(fields['input_tokens']);
  const output = tokenCount(fields['output_tokens']);
  if (input === null && output === null) return null;
  const cached = tokenCount(fields['cache_read_input_tokens']) ?? 0;
  const written = tokenCount(fields['cache_creation_input_tokens']) ?? 0;
  const creation = fields['cache_creation'];
  const writtenFor1h = isRecord(creation) ? tokenCount(creation['ephemeral_1h_input_tokens']) : null;
  const details = fields['output_tokens_details'];
  const reasoning = isRecord(details) ? tokenCount(details['thinking_tokens']) : null;
  const counts = { inputTokens: (input ?? 0) + cached + written, cachedInputTokens: cached, outputTokens: output ?? 0 };
  return {
    usage: {
      ...counts,
      ...(written === 0 ? {} : { cacheWriteTokens: written }),
      ...(writtenFor1h === null || writtenFor1h === 0 ? {} : { cacheWrite1hTokens: writtenFor1h }),
      ...(reasoning === null ? {} : { reasoningTokens: reasoning }),
      ...billedTier(fields['service_tier']),
    },
    fields,
  };
}

/** The counts as a Messages `usage` object. */
export function messagesUsage({ inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens, reasoningTokens }: TokenUsage): Fields {
  const written = cacheWriteTokens ?? 0;
  return {
    input_tokens: Math.max(0, inputTokens - cachedInputTokens - written),
    cache_creation_input_tokens: written,
    cache_read_input_tokens: cachedInputTokens,
    output_tokens: outputTokens,
    ...(reasoningTokens === undefined ? {} : { output_tokens_details: { thinking_tokens: reasoningTokens } }),
  };
}
