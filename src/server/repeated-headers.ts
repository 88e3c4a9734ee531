/**
 * Headers that we act on and that are sent twice. Node keeps the first of some, joins others, and servers behind us may keep the last: what
 * we decide by would not be what they do.
 */
import type { JudgedHead } from './request-head.ts';

const ONCE: ReadonlySet<string> = new Set([
  'authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'content-type', 'content-encoding', 'content-length', 'host', 'idempotency-key',
  'x-stainless-timeout', 'x-stainless-read-timeout', 'anthropic-version', 'traceparent',
]); // prettier-ignore

/** The header that is given twice; null: none of those that have to stand once. */
export function repeatedHeader({ rawHeaders, headers }: Pick<JudgedHead, 'headers' | 'rawHeaders'>): string | null {
  // Nearly no request repeats any, and then there are as many names as values.
  let names = 0;
  for (const _ in headers) names++;
  if (names * 2 === rawHeaders.length) return null;
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (!ONCE.has(name) && !name.startsWith('x-breakwater-')) continue;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return null;
}
