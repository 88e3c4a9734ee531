import type { TokenUsage } from '../../core/facts.ts';
import { isRecord } from '../../core/json.ts';
import { recordsIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { inputKinds, tokenCount } from '../usage.ts';

/** Token counts of `usageMetadata`; null if there are none. Reasoning and tool-use prompt tokens are counted separately there. */
export function readGeminiUsage(metadata: unknown): TokenUsage | null {
  if (!isRecord(metadata)) return null;
  const prompt = tokenCount(metadata['promptTokenCount']);
  const candidates = tokenCount(metadata['candidatesTokenCount']);
  const thoughts = tokenCount(metadata['thoughtsTokenCount']) ?? 0;
  if (prompt === null && candidates === null && thoughts === 0) return null;
  const inputTokens = (prompt ?? 0) + (tokenCount(metadata['toolUsePromptTokenCount']) ?? 0);
  const cached = Math.min(tokenCount(metadata['cachedContentTokenCount']) ?? 0, inputTokens);
  const audioOutput = tokensOf(metadata['candidatesTokensDetails'], 'AUDIO');
  const counts = {
    inputTokens,
    cachedInputTokens: cached,
    outputTokens: (candidates ?? 0) + thoughts,
    ...inputKinds(tokensOf(metadata['promptTokensDetails'], 'AUDIO'), tokensOf(metadata['promptTokensDetails'], 'IMAGE')),
    ...(audioOutput === 0 ? {} : { audioOutputTokens: audioOutput }),
  };
  return thoughts === 0 ? counts : { ...counts, reasoningTokens: thoughts };
}

/** The tokens of one modality. */
function tokensOf(details: unknown, modality: string): number {
  let sum = 0;
  for (const detail of recordsIn(details)) if (detail['modality'] === modality) sum += tokenCount(detail['tokenCount']) ?? 0;
  return sum;
}

/** The counts as `usageMetadata`. */
export function geminiUsage({ inputTokens, cachedInputTokens, outputTokens, reasoningTokens }: TokenUsage): Fields {
  const thoughts = reasoningTokens ?? 0;
  return {
    promptTokenCount: inputTokens,
    candidatesTokenCount: Math.max(0, outputTokens - thoughts),
    totalTokenCount: inputTokens + outputTokens,
    ...(cachedInputTokens === 0 ? {} : { cachedContentTokenCount: cachedInputTokens }),
    ...(thoughts === 0 ? {} : { thoughtsTokenCount: thoughts }),
  };
}
