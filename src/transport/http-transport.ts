/** Chooses what sends upstream requests: sockets of our own, or undici behind proxies, by setting, and where Node's parser can't be used. */
import type { Clock } from '../core/clock.ts';
import { loadHttpParser, type HttpParsers } from './http-parser.ts';
import { createProxyChoice, type ProxyEnvironment } from './proxy-env.ts';
import { createSocketTransport } from './socket-transport.ts';
import type { Transport } from './transport.ts';

export interface HttpTransportOptions {
  readonly clock: Clock;
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY are read from it. */
  readonly env?: ProxyEnvironment;
  /** `sockets`: undici stands in where they can't be used. */
  readonly client: 'sockets' | 'undici';
  /** Default: Node's. Null: it can't be used. */
  readonly parsers?: HttpParsers | null;
}

/** Rejects where a proxy variable names no proxy. */
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

/** Loaded only where it is needed: it costs memory and time at the start. */
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
