import type { HeadersByName } from '../core/headers.ts';
import { createRequire } from 'node:module';
import type { Client, Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';
import type { Socket } from 'node:net';
import type { Clock, Instant } from '../core/clock.ts';
import { InterimFilter } from './interim-filter.ts';
import { createProxyChoice } from './proxy-env.ts';
import type { Transport, UpstreamCall, UpstreamListener, UpstreamRequest } from './transport.ts';

// All of undici (fetch, WebSocket, caches) costs 9 MB and startup time; two of its classes are needed, and a third one behind a proxy
// (docs/decisions/005).
const require = createRequire(import.meta.url);
const PoolClass = require('undici/lib/dispatcher/pool.js') as typeof Pool;
const ClientClass = require('undici/lib/dispatcher/client.js') as typeof Client;
const loadProxyAgent = () => (require('undici') as { EnvHttpProxyAgent: typeof EnvHttpProxyAgent }).EnvHttpProxyAgent;

/** Maximum size of response headers, in bytes; more is an error of the provider. */
const HEADER_SIZE_MAX = 64 * 1024;
/** A connection that was idle for at least this long may be reset by its server, in milliseconds. */
const IDLE_MIN_MS = 1000;
/** undici's own timeouts are off, since those of `phase-limits.ts` apply. */
const OFF = 0;

class Aborted extends Error {
  override readonly name = 'Aborted';
}

/** One call through undici. It is its own dispatch handler, so that a call allocates one object. */
class UndiciCall implements UpstreamCall, Dispatcher.DispatchHandler {
  readonly #listener: UpstreamListener;
  #controller: Dispatcher.DispatchController | null = null;
  #over = false;
  #paused = false;
  /** It was sent on a reused connection, which had been idle. */
  #wasReused = false;
  #wasIdle = false;
  /** Its connection; null: unknown (behind a proxy). */
  carrier: WatchedClient | null = null;

  constructor(listener: UpstreamListener) {
    this.#listener = listener;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#wasReused = this.carrier?.hasServed === true;
    this.#wasIdle = this.carrier?.isIdle === true;
    this.carrier?.begin();
    if (this.#over) controller.abort(new Aborted());
    else {
      if (this.#paused) controller.pause();
      this.#listener.onSent();
    }
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: HeadersByName): void {
    if (!this.#over && status >= 200) this.#listener.onHeaders(status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (!this.#over) this.#listener.onData(chunk);
  }

  onResponseEnd(): void {
    this.carrier?.rest();
    if (this.#over) return;
    this.#over = true;
    this.#listener.onEnd();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(error);
  }

  fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#listener.onError(error, this.#wasIdle || (this.#wasReused && isOrderlyClose(error)));
  }

  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#controller?.abort(new Aborted());
  }

  pause(): void {
    this.#paused = true;
    this.#controller?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#controller?.resume();
  }
}

/** The server closed its side cleanly; a server that fails at a request usually resets the connection. undici has no code for it. */
function isOrderlyClose(error: Error): boolean {
  return (error as { code?: unknown }).code === 'UND_ERR_SOCKET' && error.message === 'other side closed';
}

/** Opens a connection; undici's pool passes its clients a function of this type. */
type Connect = (options: object, done: (error: Error | null, socket: Socket | null) => void) => void;

/** A client of one connection at a time. Records whether the connection has been used, and since when it is idle. */
class WatchedClient extends ClientClass {
  readonly #clock: Clock | null;
  /** When its last response ended; Infinity: none yet. */
  #idleSince: Instant = Infinity;
  readonly #filter: InterimFilter;

  constructor(origin: URL, options: Client.Options, clock: Clock | null) {
    const filter = new InterimFilter();
    const connect = options.connect as unknown as Connect;
    const filtered: Connect = (wish, done) =>
      connect(wish, (error, socket) => {
        if (error === null) filter.attach(socket!);
        done(error, socket);
      });
    super(origin, { ...options, connect: filtered as unknown as NonNullable<Client.Options['connect']> });
    this.#clock = clock;
    this.#filter = filter;
    this.on('connect', () => {
      this.#idleSince = Infinity;
    });
  }

  get hasServed(): boolean {
    return this.#idleSince !== Infinity;
  }

  get isIdle(): boolean {
    return this.#clock !== null && this.#clock.now() - this.#idleSince >= IDLE_MIN_MS;
  }

  /** A request is sent. */
  begin(): void {
    this.#filter.arm();
  }

  /** A response has ended. */
  rest(): void {
    this.#idleSince = this.#clock?.now() ?? 0;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof UndiciCall) handler.carrier = this;
    return super.dispatch(options, handler);
  }
}

export interface UndiciTransportOptions {
  /** Measures how long a connection was idle; absent: unknown. */
  readonly clock?: Clock;
  /** Read for HTTPS_PROXY, HTTP_PROXY and NO_PROXY. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** HTTP/1.1 with keep-alive, one pool for each origin and connect timeout. Redirects are not followed. */
export function createUndiciTransport(options: UndiciTransportOptions = {}): Transport {
  const makeClient = (origin: URL, settings: Client.Options): Client => new WatchedClient(origin, settings, options.clock ?? null);
  const pools = new Map<string, Dispatcher>();
  // NO_PROXY is evaluated here: undici's agent does not support networks.
  const { httpProxy, httpsProxy, uses } = createProxyChoice(options.env ?? {});

  function makePool(origin: string, connectTimeoutMs: number): Dispatcher {
    const settings = {
      headersTimeout: OFF,
      bodyTimeout: OFF,
      maxHeaderSize: HEADER_SIZE_MAX,
      pipelining: 1,
      allowH2: false,
      connect: { timeout: connectTimeoutMs },
    };
    return uses(origin)
      ? new (loadProxyAgent())({ ...settings, httpProxy, httpsProxy, noProxy: '' })
      : new PoolClass(origin, { ...settings, factory: makeClient });
  }

  function poolFor(request: UpstreamRequest): Dispatcher {
    const key = `${request.connectTimeoutMs} ${request.origin}`;
    let pool = pools.get(key);
    if (pool === undefined) pools.set(key, (pool = makePool(request.origin, request.connectTimeoutMs)));
    return pool;
  }

  /** Pools of origins that are no longer used, until their running calls have ended. */
  const retiring = new Set<Dispatcher>();
  let closed = false;
  return {
    keepOnly(origins) {
      for (const [key, pool] of pools) {
        if (origins.has(key.slice(key.indexOf(' ') + 1))) continue;
        pools.delete(key);
        retiring.add(pool);
        const forget = (): void => void retiring.delete(pool);
        pool.close().then(forget, forget);
      }
    },
    send(request, listener) {
      const call = new UndiciCall(listener);
      try {
        if (closed) throw new Error('the transport is closed');
        poolFor(request).dispatch(
          {
            origin: request.origin,
            path: request.path,
            method: request.method,
            headers: headersOf(request),
            body: request.body as Uint8Array | null,
          },
          call,
        );
      } catch (error) {
        // A header or path that undici rejects: reported like any other failure, after `send` returns.
        queueMicrotask(() => call.fail(error as Error));
      }
      return call;
    },
    async close() {
      closed = true;
      const closing = [...pools.values(), ...retiring].map((pool) => pool.destroy());
      pools.clear();
      await Promise.all(closing);
    },
  };
}

/** A body in chunks needs a content-length; otherwise it is sent chunked, which some servers reject. */
function headersOf({ headers, body }: UpstreamRequest): string[] {
  if (body === null || body instanceof Uint8Array) return headers as string[];
  return [...headers, 'content-length', String(body.reduce((length, piece) => length + piece.length, 0))];
}
