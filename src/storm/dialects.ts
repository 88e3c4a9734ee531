/** The dialects that Storm speaks. A new one is a folder and a line here. */
import { createAnthropicDialect } from './anthropic/dialect.ts';
import type { Dialect } from './dialect.ts';
import { createGeminiDialect } from './gemini/dialect.ts';
import { createOpenAiDialect } from './openai/dialect.ts';
import { createResponsesDialect } from './responses/dialect.ts';
import type { Seals } from './seals.ts';

export interface DialectParts {
  readonly models: readonly string[];
  readonly seals: Seals;
  readonly epochMs: () => number;
}

export interface Dialects {
  /** In the order in which they are asked for a route. `/v1/models` is OpenAI's unless a header says otherwise, so its dialect is last. */
  readonly all: readonly Dialect[];
  /** Answers for paths that none claims. */
  readonly fallback: Dialect;
}

/** Makes all dialects. */
export function createDialects(parts: DialectParts): Dialects {
  const fallback = createOpenAiDialect(parts.models);
  return {
    all: [createResponsesDialect(parts.seals), createAnthropicDialect(parts), createGeminiDialect(parts.models, parts.seals), fallback],
    fallback,
  };
}
