/**
 * Decides whether a request is local. The socket address alone proves little: behind a proxy every caller has a loopback
 * address, and any web page can make a browser post to a local port.
 */
import { BreakwaterError } from '../core/errors.ts';
import { isLoopbackHost } from '../gateway/config/index.ts';
import type { Exchange } from './exchange.ts';
import { proxyMark } from './proxy-marks.ts';

/** Describes why a request is not considered local; null: local. */
export function foreignTrait(exchange: Exchange): string | null {
  if (exchange.place === 'process') return null;
  if (exchange.place === 'remote') return 'it comes from another machine';
  if (!namesLoopback(exchange)) return `it names the host ${JSON.stringify(exchange.header('host') ?? '')}`;
  return crossSiteTrait(exchange) ?? proxyTrait(exchange);
}

/** Describes the sign of a proxy in the request; null: none. */
export function proxyTrait(exchange: Exchange): string | null {
  if (exchange.place === 'process') return null;
  const mark = proxyMark(exchange);
  if (mark !== null) return `it came through a proxy (its head has ${mark})`;
  // nginx with only `proxy_pass` sends this: no header with the client address, and `Host` is the upstream address.
  if (exchange.isHttp10 && exchange.header('connection')?.toLowerCase() === 'close')
    return 'it came through a proxy (HTTP/1.0 with connection: close, as nginx sends it)';
  return null;
}

/** Whether the `Host` header has a loopback name or address. */
export function namesLoopback(exchange: Exchange): boolean {
  return isLoopbackAuthority(exchange.header('host') ?? '');
}

/** Describes the sign of a foreign web page in the request; null: none. */
export function crossSiteTrait(exchange: Exchange): string | null {
  const origin = exchange.header('origin');
  if (origin !== undefined && !isLoopbackOrigin(origin)) return `it was made by a page of ${JSON.stringify(origin)}`;
  return isFetchedAcrossSites(exchange) ? 'it was made by a page of another site' : null;
}

/** The values that browsers send for a page of this host, or without a page. Any other value means another site. */
const ownSites: ReadonlySet<string> = new Set(['same-origin', 'same-site', 'none', '']);

function isFetchedAcrossSites(exchange: Exchange): boolean {
  const value = exchange.header('sec-fetch-site');
  return value !== undefined && !value.split(',').every((site) => ownSites.has(site.trim().toLowerCase()));
}

/** Throws `not_local` with the reason and the remedy, unless the request is local. */
export function refuseForeign(exchange: Exchange, cure: string): void {
  const trait = foreignTrait(exchange);
  if (trait !== null) throw new BreakwaterError('not_local', `this request is not local: ${trait}. ${cure}`);
}

/** Whether a `Host` value is a loopback name or address, with or without a port. */
function isLoopbackAuthority(host: string): boolean {
  if (host.length > 255) return false;
  const match = /^(?:\[([\da-fA-F:.]+)\]|([^\s:/?#@[\]\\]+))(?::\d{1,5})?$/.exec(host);
  const name = match?.[1] ?? match?.[2];
  return name !== undefined && isLoopbackHost(name.replace(/\.$/, ''));
}

function isLoopbackOrigin(origin: string): boolean {
  const match = /^https?:\/\/(.+)$/i.exec(origin);
  return match !== null && isLoopbackAuthority(match[1]!);
}
