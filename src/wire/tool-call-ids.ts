/**
 * Tool-call ids across dialects. A caller sees an id in its own dialect's form; in the next turn the provider gets its own id back. The
 * id itself encodes the original, so nothing has to be stored.
 */
import { Buffer } from 'node:buffer';
import type { DialectName } from './model.ts';

/** The prefix of an id that encodes another one, by the dialect whose form it has. */
const PREFIX: Readonly<Record<DialectName, string>> = {
  'openai-chat': 'call_bw_',
  'openai-responses': 'call_bw_',
  'anthropic-messages': 'toolu_bw_',
  gemini: 'call_bw_',
  'bedrock-converse': 'toolu_bw_',
};

/** The only form that Anthropic's API accepts. OpenAI accepts any text, for Responses up to 64 characters. */
const ANTHROPIC_ID = /^[A-Za-z0-9_-]{1,64}$/;
const ENCODED = /^(?:call|toolu)_bw_([A-Za-z0-9_-]+)$/;

/** The id that a caller of `dialect` sees for the provider's `id`. */
export function toCallerId(dialect: DialectName, id: string): string {
  if (dialect === 'anthropic-messages' && !id.startsWith('toolu_')) return encodeId(dialect, id);
  return id;
}

/** The id sent to a target of `dialect` for an id in a caller's conversation: the target's own if the id encodes one. */
export function toTargetId(dialect: DialectName, id: string): string {
  const own = decodeId(id) ?? id;
  return dialect !== 'anthropic-messages' || ANTHROPIC_ID.test(own) ? own : encodeId(dialect, own);
}

function encodeId(dialect: DialectName, id: string): string {
  return PREFIX[dialect] + Buffer.from(id).toString('base64url');
}

/** The id that `id` encodes; null: none. */
function decodeId(id: string): string | null {
  const encoded = ENCODED.exec(id)?.[1];
  if (encoded === undefined) return null;
  const own = Buffer.from(encoded, 'base64url');
  // Accepts only what `encodeId` writes: a provider's id may look similar.
  return own.length > 0 && own.toString('base64url') === encoded ? own.toString() : null;
}
