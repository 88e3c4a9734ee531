/** Which of a provider's response headers go on to the caller. Everything that belongs to one hop or to our account stays here. */
import type { HeaderPairs, HeadersByName } from '../../core/headers.ts';
import type { SecretMask } from '../../core/secrets/secret-mask.ts';

const PASSED: ReadonlySet<string> = new Set([
  'openai-processing-ms',
  'openai-version',
  'openai-model',
  'content-language',
  'content-disposition',
]);
const REQUEST_IDS = ['x-request-id', 'request-id', 'apim-request-id', 'x-amzn-requestid'];
const LENGTH_MAX = 200;

export function headerOf(headers: HeadersByName, name: string): string | null {
  const value = headers[name];
  if (value === undefined) return null;
  return Array.isArray(value) ? (value[0] ?? null) : value;
}

/** The provider's own id of the request, to be named in a ticket; null where it gave none. */
export function upstreamRequestId(headers: HeadersByName): string | null {
  for (const name of REQUEST_IDS) {
    const id = headerOf(headers, name);
    if (id !== null && id !== '') return id.slice(0, LENGTH_MAX);
  }
  return null;
}

/** The limits of the account, for a caller whose own it is. */
const OF_ACCOUNT = /^anthropic-ratelimit-/;

/** Names and values in turn of what a provider's response says of the caller's own account. */
export function accountHeaders(headers: HeadersByName): HeaderPairs {
  const own: HeaderPairs = [];
  for (const name in headers) if (OF_ACCOUNT.test(name)) own.push(name, headerOf(headers, name) ?? '');
  return own;
}

export function pushPassedHeaders(to: HeaderPairs, headers: HeadersByName, isBytes: boolean, secrets: SecretMask): void {
  for (const name in headers) {
    if (!PASSED.has(name) && !(isBytes && name === 'content-encoding')) continue;
    const value = headerOf(headers, name);
    if (value !== null) to.push(name, secrets.text(value));
  }
}
