/** Detects providers whose address is the gateway's own, which would cause request loops. */
import { networkInterfaces } from 'node:os';
import type { Config } from './config.ts';
import type { ConfigFault } from './faults.ts';
import { isLoopbackHost } from './loopback.ts';

/** Loops through another host name or proxy are not detected. */
export function ownAddressFaults({ server, providers }: Config): ConfigFault[] {
  if (server.port === 0 || server.socket !== '') return [];
  const loops = Object.values(providers).filter(({ baseUrl }) => baseUrl !== '' && isOwn(new URL(baseUrl), server));
  return loops.map(({ name, baseUrl }) => {
    const path = `providers.${name}.baseUrl`;
    const { host } = new URL(baseUrl);
    return {
      path,
      message: `${path}: ${host} is Breakwater's own address; set the address of the provider, or unset the variable with this one`,
    };
  });
}

function isOwn(url: URL, server: Config['server']): boolean {
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port);
  if (port !== server.port) return false;
  const host = bare(url.hostname);
  const bound = bare(server.host);
  if (host === bound || isAnyAddress(host)) return true;
  if (isLoopbackHost(host)) return isLoopbackHost(bound) || isAnyAddress(bound);
  return isAnyAddress(bound) && interfaceAddresses().has(host);
}

/** Without the brackets of an IPv6 address. */
function bare(host: string): string {
  return host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
}

/** Whether a bind address stands for all interfaces. */
export function isAnyAddress(host: string): boolean {
  return ['0.0.0.0', '::'].includes(bare(host));
}

function interfaceAddresses(): ReadonlySet<string> {
  return new Set(Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address.toLowerCase())));
}
