/** The dialects that Storm speaks. A new one is a folder and a line here. */
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
  /** In the order in which they are asked for a route. `/v1/models` is OpenAI's unless a header says otherwise, so its chat dialect comes after the others. */
  readonly all: readonly Dialect[];
  /** Answers for paths that none claims. */
  readonly fallback: Dialect;
}

/** Makes all dialects. */
export function createDialects({ models, seals, epochMs }: DialectParts): Dialects {
  const fallback = createOpenAiDialect(models);
  const responses = createResponsesDialect(seals);
  const anthropic = createAnthropicDialect({ models, seals, epochMs });
  const gemini = createGeminiDialect(models, seals);
  const clouds = [onAzure(responses), onAzure(fallback), ...createVertexDialects(gemini, anthropic, seals), createBedrockDialect(seals)];
  return { all: [responses, anthropic, gemini, fallback, ...clouds], fallback };
}
