/**
 * Detects significant headers that are sent twice. Node.js keeps the first of some and joins others, while upstream servers may use the last,
 * so that both would act on different values.
 */
import type { JudgedHead } from './request-head.ts';

const ONCE: ReadonlySet<string> = new Set([
  'authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'content-type', 'content-encoding', 'content-length', 'host', 'idempotency-key',
  'x-stainless-timeout', 'x-stainless-read-timeout', 'anthropic-version', 'traceparent',
]); // prettier-ignore

/** The first significant header that occurs twice; null: none. */
export function repeatedHeader({ rawHeaders, headers }: Pick<JudgedHead, 'headers' | 'rawHeaders'>): string | null {
  // Fast path: without repetitions there are as many names as values.
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
