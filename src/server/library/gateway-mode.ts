/** The library in front of a gateway: requests go there while it is alive, and run in this process, within a share of the limits, when it is not. */
import type { Clock } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import type { GatewayClient } from '../../transport/gateway-client.ts';
import type { SharedStore } from '../../store/shared-store.ts';
import { GatewayCalls } from './gateway-calls.ts';
import { createGatewayFetch } from './gateway-fetch.ts';
import { GatewayShare } from './gateway-share.ts';
import { GatewayWatch } from './gateway-watch.ts';

/** A running gateway, by its address, with the key of a client where it asks for one. */
export type GatewayAddress = string | { readonly url: string; readonly key?: string };

/** What limits requests that run in this process. */
export interface LocalLimits {
  /** Of the engine's store; undefined: it shares nothing. */
  readonly shared: SharedStore | undefined;
  readonly expectedInstances: number;
}

export interface GatewayMode {
  /** For the engine's store, unless that is shared by itself. */
  readonly share: GatewayShare;
  /** Resolves after the first health check of the gateway. */
  start(limits: LocalLimits): Promise<void>;
  /** Warns if the gateway does not answer; called once the caller can listen. */
  report(): void;
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
  const share = new GatewayShare(() => watch.shares);
  const headers = { 'x-breakwater-library': id, ...(key !== null && { authorization: `Bearer ${key}` }) };
  let limits: LocalLimits = { shared: share, expectedInstances: 1 };
  let hasReported = false;
  const report = (isAlive: boolean): void => {
    if (!isAlive)
      onWarning(`the gateway ${url} does not answer: requests run in this process, with ${shareOf(limits, share, watch.shares)}`);
    else if (hasReported) onWarning(`the gateway ${url} answers again: requests go there`);
    hasReported = true;
  };
  const watch = new GatewayWatch({
    clock,
    client,
    url,
    headers,
    onShares: () => share.set(true),
    onChange(isAlive) {
      share.set(isAlive);
      report(isAlive);
    },
  });
  const calls = new GatewayCalls(watch);
  return {
    share,
    start(given) {
      limits = given;
      return watch.start();
    },
    report: () =>
      void clock.schedule(0, () => {
        if (!watch.isAlive && !hasReported) report(false);
      }),
    wrap: (local) => createGatewayFetch({ watch, calls, client, url, key, local }),
    drain: (timeoutMs) => calls.close(clock, timeoutMs),
    async close() {
      watch.stop();
      await client.close();
    },
  };
}

function shareOf({ shared, expectedInstances }: LocalLimits, share: GatewayShare, shares: number): string {
  if (shared === undefined) return 'the whole of each limit';
  if (shared !== share) return 'the limits that its store shares';
  return `1/${Math.max(shares, expectedInstances)} of each limit`;
}

function readAddress(address: GatewayAddress): { url: string; key: string | null } {
  const { url, key = null } = typeof address === 'string' ? { url: address } : address;
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.username !== '' || parsed.search !== '')
    throw new Error('gateway: expected the address of a running gateway, such as http://127.0.0.1:4747');
  return { url: `${parsed.origin}${parsed.pathname.replace(/(?:\/v1)?\/*$/, '')}`, key };
}
