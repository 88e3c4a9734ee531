/**
 * Cross-origin requests of web pages (Fetch standard, 3.3) to the API paths, for the origins in `server.cors.origins`. Credentials as defined
 * there (cookies) are never allowed: a page sends the key of a client in a header.
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

/** How long a browser may cache a preflight response: Chromium's maximum, in seconds. */
const maxAgeSeconds = 7200;
/** The longest list of headers in a preflight. */
const headerListLengthMax = 4096;

/** The headers of every response to this origin; empty: CORS is off. */
export function corsHeaders(exchange: Exchange, origins: readonly string[]): HeaderPairs {
  if (origins.length === 0) return [];
  const origin = exchange.header('origin');
  const isAllowed = origin !== undefined && (origins.includes('*') || origins.includes(origin.toLowerCase()));
  // The response depends on the origin in any case.
  if (!isAllowed) return ['vary', 'Origin'];
  return ['vary', 'Origin', 'access-control-allow-origin', origin, 'access-control-expose-headers', exposed];
}

/** Additional headers of a preflight response; empty: not a preflight. `methods`: those of the path. */
export function preflightHeaders(exchange: Exchange, methods: string): HeaderPairs {
  if (exchange.header('access-control-request-method') === undefined) return [];
  const requested = exchange.header('access-control-request-headers') ?? '';
  const isList = requested.length <= headerListLengthMax && /^[\w!#$%&'*+.^`|~,\s-]+$/.test(requested);
  return [
    'access-control-allow-methods',
    methods,
    ...(isList ? ['access-control-allow-headers', requested] : []),
    'access-control-max-age',
    String(maxAgeSeconds),
  ];
}
