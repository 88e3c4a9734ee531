/** All dialects by name. */
import type { Protocol } from '../core/request.ts';
import { bedrockConverse } from './bedrock-converse/dialect.ts';
import { anthropicMessages } from './anthropic-messages/dialect.ts';
import type { Dialect, DialectError } from './dialect.ts';
import { gemini } from './gemini/dialect.ts';
export { BodyModelScan, NESTED_REQUESTS } from './gemini/body-models.ts';
import type { DialectName } from './model.ts';
import { openaiChat } from './openai-chat/dialect.ts';
import { boundedEcho } from './openai-responses/echo.ts';
import { HistoryWriter, idIn, readHistoryReference, responseIn } from './openai-responses/history.ts';
import { openaiResponses } from './openai-responses/dialect.ts';

export const DIALECTS = {
  'openai-chat': openaiChat,
  'openai-responses': openaiResponses,
  'anthropic-messages': anthropicMessages,
  gemini,
  'bedrock-converse': bedrockConverse,
} as const satisfies Partial<Record<DialectName, Dialect>>;

/** What requests of the Responses API refer to. */
export const RESPONSE_HISTORY = { readHistoryReference, responseIn, idIn, HistoryWriter };

/** The request fields that a response echoes, from the request's body. */
export const responseEcho = boundedEcho;

/** The dialect of providers with this protocol. */
export function dialectOf(protocol: string): Dialect {
  if (protocol === 'anthropic') return anthropicMessages;
  if (protocol === 'converse') return bedrockConverse;
  return protocol === 'gemini' ? gemini : openaiChat;
}

/** Error writers by path family. */
export const ERRORS: Readonly<Record<Protocol, DialectError>> = {
  openai: openaiChat.error,
  anthropic: anthropicMessages.error,
  gemini: gemini.error,
};
