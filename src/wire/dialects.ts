/** Every dialect by its name. */
import { anthropicMessages } from './anthropic-messages/dialect.ts';
import type { Dialect } from './dialect.ts';
import type { DialectName } from './model.ts';
import { openaiChat } from './openai-chat/dialect.ts';

export const DIALECTS: Readonly<Partial<Record<DialectName, Dialect>>> = {
  'openai-chat': openaiChat,
  'anthropic-messages': anthropicMessages,
};
