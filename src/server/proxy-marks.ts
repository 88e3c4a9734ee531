/** Headers that show that a request came through a reverse proxy, load balancer or CDN. */
import type { Exchange } from './exchange.ts';

/** `x-forwarded-for` and related headers. */
const forwardedPrefix = 'x-forwarded';

/** Set by proxies, not by clients. A caller can add them, but cannot remove those of a proxy. */
const names = [
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-original-forwarded-for',
  'x-original-host',
  'x-proxyuser-ip',
  'x-nginx-proxy',
  'proxy-client-ip',
  'wl-proxy-client-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'cf-pseudo-ipv4',
  'cf-ray',
  'cf-visitor',
  'cdn-loop',
  'fastly-client-ip',
  'fastly-ff',
  'fly-client-ip',
  'fly-forwarded-port',
  'x-envoy-external-address',
  'x-envoy-internal',
  'x-azure-clientip',
  'x-azure-fdid',
  'x-appengine-user-ip',
  'x-arr-log-id',
  'x-vercel-forwarded-for',
  'x-nf-client-connection-ip',
  'do-connecting-ip',
  'akamai-origin-hop',
] as const;

/** The first header that only a proxy adds; null: none. */
export function proxyMark(exchange: Pick<Exchange, 'header' | 'hasHeaderLike'>): string | null {
  for (const name of names) if (exchange.header(name) !== undefined) return name;
  return exchange.hasHeaderLike(forwardedPrefix) ? `${forwardedPrefix}-*` : null;
}
