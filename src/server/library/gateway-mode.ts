/** The library in front of a gateway: requests go there while it is alive, and run in this process, within a share of the limits, when it is not. */
import type { Clock } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import type { GatewayClient } from '../../transport/gateway-client.ts';
import { GatewayCalls } from './gateway-calls.ts';
import { createGatewayFetch } from './gateway-fetch.ts';
import { GatewayShare } from './gateway-share.ts';
import { GatewayWatch } from './gateway-watch.ts';

/** A running gateway, by its address, with the key of a client where it asks for one. */
export type GatewayAddress = string | { readonly url: string; readonly key?: string };

export interface GatewayMode {
  /** For the engine's store, unless that is shared by itself. */
  readonly share: GatewayShare;
  /** Resolves after the first health check of the gateway. */
  start(): Promise<void>;
  wrap(local: typeof fetch): typeof fetch;
  /** Requests that run at the gateway continue for up to `timeoutMs`; new ones are left to the engine in this process. */
  drain(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Throws where the address is not valid. */
export async function openGatewayMode(
  address: GatewayAddress,
  clock: Clock,
  random: Random,
  onWarning: (message: string) => void,
): Promise<GatewayMode> {
  const { url, key } = readAddress(address);
  const { createGatewayClient } = await import('../../transport/gateway-client.ts');
  const client: GatewayClient = await createGatewayClient();
  const id = `library-${Math.floor(random.next() * Number.MAX_SAFE_INTEGER).toString(36)}`;
  const share = new GatewayShare(() => watch.libraries);
  const headers = { 'x-breakwater-library': id, ...(key !== null && { authorization: `Bearer ${key}` }) };
  let wasAlive = false;
  const watch = new GatewayWatch({
    clock,
    client,
    url,
    headers,
    onLibraries: () => share.set(true),
    onChange(isAlive) {
      share.set(isAlive);
      if (!isAlive) onWarning(`the gateway ${url} does not answer: requests run in this process, with 1/${watch.libraries} of each limit`);
      else if (wasAlive) onWarning(`the gateway ${url} answers again: requests go there`);
      wasAlive = true;
    },
  });
  const calls = new GatewayCalls(watch);
  return {
    share,
    start: () => watch.start(),
    wrap: (local) => createGatewayFetch({ watch, calls, client, url, key, local }),
    drain: (timeoutMs) => calls.close(clock, timeoutMs),
    async close() {
      watch.stop();
      await client.close();
    },
  };
}

function readAddress(address: GatewayAddress): { url: string; key: string | null } {
  const { url, key = null } = typeof address === 'string' ? { url: address } : address;
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.username !== '' || parsed.search !== '')
    throw new Error('gateway: expected the address of a running gateway, such as http://127.0.0.1:4747');
  return { url: `${parsed.origin}${parsed.pathname.replace(/(?:\/v1)?\/*$/, '')}`, key };
}
