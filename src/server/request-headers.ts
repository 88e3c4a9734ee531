/** Headers by lower-case name, joined as in node:http, so that both listeners use the same values. */

/** Repetitions of these are ignored. */
const FIRST_ONLY: ReadonlySet<string> = new Set([
  'age', 'authorization', 'content-length', 'content-type', 'etag', 'expires', 'from', 'host', 'if-modified-since', 'if-unmodified-since',
  'last-modified', 'location', 'max-forwards', 'proxy-authorization', 'referer', 'retry-after', 'server', 'user-agent',
]); // prettier-ignore

export type RequestHeaders = Record<string, string | undefined>;

/** `pairs`: alternating names and values, as sent. */
export function readHeaders(pairs: readonly string[]): RequestHeaders {
  const headers: RequestHeaders = {};
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i]!.toLowerCase();
    const value = pairs[i + 1]!;
    const before = headers[name];
    // Inherited properties such as `constructor` are not headers.
    if (typeof before !== 'string') headers[name] = value;
    else if (!FIRST_ONLY.has(name)) headers[name] = `${before}${name === 'cookie' ? '; ' : ', '}${value}`;
  }
  return headers;
}
