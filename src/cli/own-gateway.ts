/** How commands reach the gateway of a config: over TCP, TLS or a unix socket. */
import { readFileSync } from 'node:fs';
import { isAnyAddress, type Config } from '../gateway/config/index.ts';
import { systemClock } from '../gateway/system-clock.ts';

export interface OwnGateway {
  /** The base URL for `fetch`. */
  readonly url: string;
  readonly fetch: typeof fetch;
  /** Closes its connections. */
  readonly close: () => Promise<void>;
}

export type GatewayReply =
  | { readonly ok: true; readonly status: number; readonly headers: Headers; readonly body: string }
  | { readonly ok: false; readonly why: string };

/** The response of a gateway to a GET, whatever its status. `ok: false`: there is none within `timeoutMs`. */
export async function askGateway(
  gateway: OwnGateway,
  path: string,
  { timeoutMs, headers = {} }: { readonly timeoutMs: number; readonly headers?: Readonly<Record<string, string>> },
): Promise<GatewayReply> {
  const aborting = new AbortController();
  const timer = systemClock.schedule(timeoutMs, () => aborting.abort(new Error(`no response within ${timeoutMs / 1_000} s`)));
  try {
    const response = await gateway.fetch(`${gateway.url.replace(/\/+$/, '')}${path}`, { headers, signal: aborting.signal });
    return { ok: true, status: response.status, headers: response.headers, body: await response.text() };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { ok: false, why: `the gateway at ${gateway.url} cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}` };
  } finally {
    timer.cancel();
  }
}

/** A gateway at a given URL. */
export function gatewayAt(url: string): OwnGateway {
  return { url, fetch, close: async () => {} };
}

/** The gateway of a config on this machine. `isChecked: false`: with any certificate, for queries without a key. */
export async function ownGateway({ server }: Config, { isChecked = true } = {}): Promise<OwnGateway> {
  if (server.socket !== '') return over('http://localhost', { socketPath: server.socket });
  // A gateway bound to all interfaces is reached at the loopback address.
  const host = isAnyAddress(server.host) ? '127.0.0.1' : server.host;
  const authority = `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${server.port}`;
  if (server.tls.cert === '') return gatewayAt(`http://${authority}`);
  if (!isChecked) return over(`https://${authority}`, { rejectUnauthorized: false });
  // Only the configured certificate is trusted. It need not name the loopback address.
  return over(`https://${authority}`, {
    ...readOrNone(server.tls.cert),
    allowPartialTrustChain: true,
    checkServerIdentity: () => undefined,
  });
}

function readOrNone(path: string): { ca?: Buffer } {
  try {
    return { ca: readFileSync(path) };
  } catch {
    return {};
  }
}

async function over(url: string, connect: object): Promise<OwnGateway> {
  const { Agent, fetch: fetchOver } = await import('undici');
  const dispatcher = new Agent({ connect });
  return {
    url,
    // The types of undici's Request and Response differ from the global ones in details that are not used here.
    fetch: ((input: string, init: object) => fetchOver(input, { ...init, dispatcher })) as unknown as typeof fetch,
    close: () => dispatcher.close(),
  };
}
