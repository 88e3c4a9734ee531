/** How commands reach the gateway of a config: over TCP, TLS or a unix socket. */
import { readFileSync } from 'node:fs';
import { isLoopbackHost, type Config } from '../gateway/config/index.ts';

export interface OwnGateway {
  /** The base URL for `fetch`. */
  readonly url: string;
  readonly fetch: typeof fetch;
  /** Closes its connections. */
  readonly close: () => Promise<void>;
}

/** A gateway at a given URL. */
export function gatewayAt(url: string): OwnGateway {
  return { url, fetch, close: async () => {} };
}

/** The gateway of a config on this machine. */
export async function ownGateway({ server }: Config): Promise<OwnGateway> {
  if (server.socket !== '') return over('http://localhost', { socketPath: server.socket });
  // A gateway bound to all interfaces is reached at the loopback address.
  const isAny = !isLoopbackHost(server.host) && /^(?:0\.0\.0\.0|\[?::\]?)$/.test(server.host);
  const host = isAny ? '127.0.0.1' : server.host;
  const authority = `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${server.port}`;
  if (server.tls.cert === '') return gatewayAt(`http://${authority}`);
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
