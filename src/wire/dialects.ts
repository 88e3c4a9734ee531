/** Every dialect by its name. */
import type { Protocol } from '../core/request.ts';
import { anthropicMessages } from './anthropic-messages/dialect.ts';
import type { Dialect, DialectError } from './dialect.ts';
import { geminiErrors } from './gemini/encode-error.ts';
import type { DialectName } from './model.ts';
import { openaiChat } from './openai-chat/dialect.ts';

export const DIALECTS = {
  'openai-chat': openaiChat,
  'anthropic-messages': anthropicMessages,
} as const satisfies Partial<Record<DialectName, Dialect>>;

/** What a provider of this protocol speaks. */
export function dialectOf(protocol: string): Dialect {
  return protocol === 'anthropic' ? anthropicMessages : openaiChat;
}

/** Errors by the family of a path. */
export const ERRORS: Readonly<Record<Protocol, DialectError>> = {
  openai: openaiChat.error,
  anthropic: anthropicMessages.error,
  gemini: geminiErrors,
};
