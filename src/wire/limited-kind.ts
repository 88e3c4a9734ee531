import type { Failure } from '../core/facts.ts';

const TOKENS = /\btokens? per |\btokens?PerM|\bTPM\b|\bTPD\b/i;
const REQUESTS = /\brequests? per |\brequests?PerM|\bRPM\b|\bRPD\b/i;

/** Which kind of limit a rate-limit answer speaks of, as OpenAI's type or the message's words say; null: neither, or both. */
export function limitedKind({ type, code, message }: Pick<Failure, 'type' | 'code' | 'message'>): 'requests' | 'tokens' | null {
  if (type === 'tokens' || type === 'requests') return type;
  const said = code === null ? message : `${code} ${message}`;
  const [tokens, requests] = [TOKENS.test(said), REQUESTS.test(said)];
  return tokens === requests ? null : tokens ? 'tokens' : 'requests';
}
