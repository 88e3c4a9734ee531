/**
 * Tool-call ids across dialects. A caller sees an id in its own dialect's form; in the next turn the provider gets its own id back. The
 * id itself carries the original, so nothing has to be stored.
 */
import { Buffer } from 'node:buffer';
import type { DialectName } from './model.ts';

/** What an id that carries another one begins with, by the dialect in whose form it is. */
const CARRIER: Readonly<Record<DialectName, string>> = {
  'openai-chat': 'call_bw_',
  'openai-responses': 'call_bw_',
  'anthropic-messages': 'toolu_bw_',
  gemini: 'call_bw_',
  'bedrock-converse': 'toolu_bw_',
};

/** Anthropic's API takes these only. OpenAI takes any text, up to 64 characters for Responses. */
const PLAIN_ID = /^[A-Za-z0-9_-]{1,64}$/;
const CARRIED = /^(?:call|toolu)_bw_([A-Za-z0-9_-]+)$/;

/** The id that a caller of `dialect` sees for the provider's `id`. */
export function toCallerId(dialect: DialectName, id: string): string {
  if (dialect === 'anthropic-messages' && !id.startsWith('toolu_')) return carry(dialect, id);
  return id;
}

/** The id that a target of `dialect` is given for an id out of a caller's conversation: the target's own where the id carries one. */
export function toTargetId(dialect: DialectName, id: string): string {
  const own = carriedId(id) ?? id;
  return dialect !== 'anthropic-messages' || PLAIN_ID.test(own) ? own : carry(dialect, own);
}

function carry(dialect: DialectName, id: string): string {
  return CARRIER[dialect] + Buffer.from(id).toString('base64url');
}

/** The id that `id` carries; null: it is nobody's but its own. */
function carriedId(id: string): string | null {
  const encoded = CARRIED.exec(id)?.[1];
  if (encoded === undefined) return null;
  const own = Buffer.from(encoded, 'base64url');
  // Only what `carry` writes: a provider's id may look like one of ours.
  return own.length > 0 && own.toString('base64url') === encoded ? own.toString() : null;
}
