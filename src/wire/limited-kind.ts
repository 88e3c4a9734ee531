import type { Failure } from '../core/facts.ts';

const TOKENS = /\btokens? per |\btokens?PerM|\bTPM\b|\bTPD\b/i;
const REQUESTS = /\brequests? per |\brequests?PerM|\bRPM\b|\bRPD\b/i;

/** The kind of limit that a rate-limit response is about, from OpenAI's type or the message; null: neither, or both. */
export function limitedKind({ type, code, message }: Pick<Failure, 'type' | 'code' | 'message'>): 'requests' | 'tokens' | null {
  if (type === 'tokens' || type === 'requests') return type;
  const text = code === null ? message : `${code} ${message}`;
  const [tokens, requests] = [TOKENS.test(text), REQUESTS.test(text)];
  return tokens === requests ? null : tokens ? 'tokens' : 'requests';
}
