/** The dialects of the simulation. A run may mix them, among its callers and among its providers. */
import { anthropicMessages } from './dialects/anthropic-messages.ts';
import type { SimulatedDialect } from './dialects/dialect.ts';
import type { SimulatedDialectName } from './dialects/names.ts';
import { gemini } from './dialects/gemini.ts';
import { openaiChat } from './dialects/openai-chat.ts';
import { openaiResponses } from './dialects/openai-responses.ts';

export const DIALECTS: Readonly<Record<SimulatedDialectName, SimulatedDialect>> = {
  'openai-chat': openaiChat,
  'openai-responses': openaiResponses,
  'anthropic-messages': anthropicMessages,
  gemini,
};

/** The dialect in which a provider is called, by the path of the call. */
export function dialectOfPath(path: string): SimulatedDialectName {
  const [place = ''] = path.split('?');
  if (place.endsWith('/messages')) return 'anthropic-messages';
  if (place.endsWith('/responses')) return 'openai-responses';
  return /:(streamG|g)enerateContent$/.test(place) ? 'gemini' : 'openai-chat';
}
