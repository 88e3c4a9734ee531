/** The dialects that Storm speaks. A new one is a folder and a line here. */
import { createAnthropicDialect } from './anthropic/dialect.ts';
import type { Dialect } from './dialect.ts';
import { createOpenAiDialect } from './openai/dialect.ts';
import { createResponsesDialect } from './responses/dialect.ts';
import type { Seals } from './seals.ts';

export interface DialectParts {
  readonly models: readonly string[];
  readonly seals: Seals;
  epochMs(): number;
}

/** The first answers for paths that none knows. */
export function createDialects(parts: DialectParts): readonly [Dialect, ...Dialect[]] {
  return [createOpenAiDialect(parts.models), createResponsesDialect(parts.seals), createAnthropicDialect(parts)];
}
