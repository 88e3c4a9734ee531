/**
 * What looks local (design 4.10). Where no key is asked for, the address of the socket proves little: behind a proxy
 * everybody is loopback, and any web page can make a browser post to a local port.
 */
import { BreakwaterError } from '../core/errors.ts';
import { isLoopbackHost } from '../gateway/config/index.ts';
import type { Exchange } from './exchange.ts';
import { proxyMark } from './proxy-marks.ts';

/** Why the request does not look local, in words; null: it does. */
export function foreignTrait(exchange: Exchange): string | null {
  if (exchange.place === 'process') return null;
  if (exchange.place === 'remote') return 'it comes from another machine';
  if (!namesLoopback(exchange)) return `it names the host ${JSON.stringify(exchange.header('host') ?? '')}`;
  return crossSiteTrait(exchange) ?? proxyTrait(exchange);
}

/** Why the request seems to come from a proxy, in words; null: it has no mark of one. */
export function proxyTrait(exchange: Exchange): string | null {
  if (exchange.place === 'process') return null;
  const mark = proxyMark(exchange);
  if (mark !== null) return `it came through a proxy (its head has ${mark})`;
  // nginx sends this where only `proxy_pass` is configured: no header names the visitor, and `Host` is our own address.
  if (exchange.isHttp10 && exchange.header('connection')?.toLowerCase() === 'close')
    return 'it came through a proxy (HTTP/1.0 with connection: close, as nginx sends it)';
  return null;
}

/** Whether the `Host` header is a loopback name or address. */
export function namesLoopback(exchange: Exchange): boolean {
  return isLoopbackAuthority(exchange.header('host') ?? '');
}

/** Why the request seems to be made by a foreign web page; null: it doesn't. */
export function crossSiteTrait(exchange: Exchange): string | null {
  const origin = exchange.header('origin');
  if (origin !== undefined && !isLoopbackOrigin(origin)) return `it was made by a page of ${JSON.stringify(origin)}`;
  return isFetchedAcrossSites(exchange) ? 'it was made by a page of another site' : null;
}

/** What browsers send for a page of this host, or for no page at all. Anything else, also repeated, is of another site. */
const ownSites: ReadonlySet<string> = new Set(['same-origin', 'same-site', 'none', '']);

function isFetchedAcrossSites(exchange: Exchange): boolean {
  const value = exchange.header('sec-fetch-site');
  return value !== undefined && !value.split(',').every((site) => ownSites.has(site.trim().toLowerCase()));
}

/** Throws `not_local`, naming the trait and the cure. */
export function refuseForeign(exchange: Exchange, cure: string): void {
  const trait = foreignTrait(exchange);
  if (trait !== null) throw new BreakwaterError('not_local', `this request does not look local: ${trait}. ${cure}`);
}

/** A `Host` value: a loopback name or address, with or without a port, and nothing else. */
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
