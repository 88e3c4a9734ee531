/** Selects the HTTP transport: sockets, or undici behind a proxy, by configuration, or if Node's parser cannot be used. */
import type { Clock } from '../core/clock.ts';
import { loadHttpParser, type HttpParsers } from './http-parser.ts';
import { createProxyChoice, type ProxyEnvironment } from './proxy-env.ts';
import { createSocketTransport } from './socket-transport.ts';
import type { Transport } from './transport.ts';

export interface HttpTransportOptions {
  readonly clock: Clock;
  /** Read for HTTPS_PROXY, HTTP_PROXY and NO_PROXY. */
  readonly env?: ProxyEnvironment;
  /** `sockets`: falls back to undici where sockets cannot be used. */
  readonly client: 'sockets' | 'undici';
  /** Default: Node's. Null: not usable. */
  readonly parsers?: HttpParsers | null;
}

/** Rejects if a proxy variable is not a proxy URL. */
export async function createHttpTransport({
  clock,
  env = {},
  client,
  parsers = loadHttpParser(),
}: HttpTransportOptions): Promise<Transport> {
  const proxy = createProxyChoice(env);
  if (client === 'undici' || parsers === null) return loadUndici(clock, env);
  const sockets = createSocketTransport({ clock, parsers });
  return proxy.isSet ? new ProxyingTransport(sockets, await loadUndici(clock, env), proxy.uses) : sockets;
}

/** Loaded on demand, since it costs memory and startup time. */
async function loadUndici(clock: Clock, env: ProxyEnvironment): Promise<Transport> {
  const { createUndiciTransport } = await import('./undici-transport.ts');
  return createUndiciTransport({ clock, env });
}

class ProxyingTransport implements Transport {
  readonly #direct: Transport;
  readonly #proxied: Transport;
  readonly #usesProxy: (origin: string) => boolean;

  constructor(direct: Transport, proxied: Transport, usesProxy: (origin: string) => boolean) {
    this.#direct = direct;
    this.#proxied = proxied;
    this.#usesProxy = usesProxy;
  }

  send: Transport['send'] = (request, listener) => (this.#usesProxy(request.origin) ? this.#proxied : this.#direct).send(request, listener);

  keepOnly(origins: ReadonlySet<string>): void {
    this.#direct.keepOnly?.(origins);
    this.#proxied.keepOnly?.(origins);
  }

  async close(): Promise<void> {
    await Promise.all([this.#direct.close(), this.#proxied.close()]);
  }
}
