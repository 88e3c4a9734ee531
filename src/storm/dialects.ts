/** The dialects that Storm supports. To add one, create a folder and add it here. */
import { createAnthropicDialect } from './anthropic/dialect.ts';
import { onAzure } from './azure/dialect.ts';
import { createBedrockDialect } from './bedrock/dialect.ts';
import type { Dialect } from './dialect.ts';
import { createGeminiDialect } from './gemini/dialect.ts';
import { createOpenAiDialect } from './openai/dialect.ts';
import { createResponsesDialect } from './responses/dialect.ts';
import type { Seals } from './seals.ts';
import { createVertexDialects } from './vertex/dialect.ts';

export interface DialectParts {
  readonly models: readonly string[];
  readonly seals: Seals;
  readonly epochMs: () => number;
}

export interface Dialects {
  /** In routing order. `/v1/models` belongs to OpenAI unless a header says otherwise, so OpenAI chat comes last. */
  readonly all: readonly Dialect[];
  /** Handles paths that no dialect claims. */
  readonly fallback: Dialect;
}

/** Creates all dialects. */
export function createDialects({ models, seals, epochMs }: DialectParts): Dialects {
  const fallback = createOpenAiDialect(models);
  const responses = createResponsesDialect(seals);
  const anthropic = createAnthropicDialect({ models, seals, epochMs });
  const gemini = createGeminiDialect(models, seals);
  const clouds = [onAzure(responses), onAzure(fallback), ...createVertexDialects(gemini, anthropic, seals), createBedrockDialect(seals)];
  return { all: [responses, anthropic, gemini, fallback, ...clouds], fallback };
}
