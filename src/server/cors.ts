/**
 * Cross-origin requests of web pages (Fetch standard, 3.3), for the API paths and the origins in `server.cors.origins`. Credentials in the
 * sense of that standard (cookies) are never allowed: a page sends a client's key in a header.
 */
import type { HeaderPairs } from '../core/headers.ts';
import type { Exchange } from './exchange.ts';

const exposed = [
  ...['target', 'attempts', 'queue-ms', 'fallback', 'cache', 'dropped', 'cost-usd', 'quality', 'simulated'].map(
    (name) => `x-breakwater-${name}`,
  ),
  'x-request-id',
  'request-id',
  'x-upstream-request-id',
  'x-should-retry',
  'retry-after',
  'retry-after-ms',
].join(', ');

/** How long a browser may keep the answer to a preflight; Chromium takes no more, in seconds. */
const maxAgeSeconds = 7200;
/** Longest list of headers that a preflight may ask for. */
const askedLengthMax = 4096;

/** What every answer to this origin carries; empty: no page of it may read the answer. */
export function corsHeaders(exchange: Exchange, origins: readonly string[]): HeaderPairs {
  if (origins.length === 0) return [];
  const origin = exchange.header('origin');
  const isAllowed = origin !== undefined && (origins.includes('*') || origins.includes(origin.toLowerCase()));
  // Whatever the answer, it depends on the origin.
  if (!isAllowed) return ['vary', 'Origin'];
  return ['vary', 'Origin', 'access-control-allow-origin', origin, 'access-control-expose-headers', exposed];
}

/** What the answer to a preflight adds; empty: it is none. `methods`: those of the path. */
export function preflightHeaders(exchange: Exchange, methods: string): HeaderPairs {
  if (exchange.header('access-control-request-method') === undefined) return [];
  const asked = exchange.header('access-control-request-headers') ?? '';
  const isList = asked.length <= askedLengthMax && /^[\w!#$%&'*+.^`|~,\s-]+$/.test(asked);
  return [
    'access-control-allow-methods',
    methods,
    ...(isList ? ['access-control-allow-headers', asked] : []),
    'access-control-max-age',
    String(maxAgeSeconds),
  ];
}
