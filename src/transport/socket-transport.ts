/** HTTP/1.1 on sockets of its own with Node's parser and keep-alive. Redirects are not followed. */
import { connect, isIP, type OnReadOpts, type Socket } from 'node:net';
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls';
import { createRequire } from 'node:module';
import type { Clock, Instant, Timer } from '../core/clock.ts';
import type { HttpParsers } from './http-parser.ts';
import { requestText } from './request-text.ts';
import type { Transport, UpstreamListener, UpstreamRequest } from './transport.ts';
import { SocketCall, UpstreamConnection, type Carrier, type ConnectionOwner, type Waiting } from './upstream-connection.ts';

/** Maximum number of idle connections to one origin; more are closed. */
const IDLE_MAX = 1024;
/** Delay of TCP keep-alive probes on an idle connection, in milliseconds. */
const TCP_PROBE_AFTER_MS = 60_000;
const TLS_HIGH_WATER_MARK = 16 * 1024;

/** The read buffer of all connections: its bytes are parsed, and copied where they are kept, before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

const require = createRequire(import.meta.url);
const loadTls = () => require('node:tls') as { connect(options: ConnectionOptions): TLSSocket; createSecureContext(): SecureContext };

export interface SocketTransportOptions {
  readonly clock: Clock;
  readonly parsers: HttpParsers;
}

export function createSocketTransport({ clock, parsers }: SocketTransportOptions): Transport {
  return new SocketTransport(clock, parsers);
}

class SocketTransport implements Transport {
  readonly clock: Clock;
  readonly parsers: HttpParsers;
  readonly #origins = new Map<string, Origin>();
  /** Pools of origins that are no longer used, until their running calls have ended. */
  readonly #retiring = new Set<Origin>();
  /** Connections that completed a response in this turn of the event loop. */
  #resting: [Origin, UpstreamConnection][] = [];
  #isClosed = false;
  #secureContext: SecureContext | null = null;

  constructor(clock: Clock, parsers: HttpParsers) {
    this.clock = clock;
    this.parsers = parsers;
  }

  send(request: UpstreamRequest, listener: UpstreamListener): SocketCall {
    const call = new SocketCall(listener);
    try {
      if (this.#isClosed) throw new Error('the transport is closed');
      this.#originOf(request.origin).send(call, request);
    } catch (error) {
      // Reported like any other failure, after `send` returns.
      queueMicrotask(() => call.fail(error as Error, false));
    }
    return call;
  }

  keepOnly(origins: ReadonlySet<string>): void {
    for (const [name, origin] of this.#origins) {
      if (origins.has(name)) continue;
      this.#origins.delete(name);
      this.#retiring.add(origin);
      origin.retire(() => this.#retiring.delete(origin));
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#origins.values(), ...this.#retiring];
    this.#origins.clear();
    for (const origin of all) origin.destroy(new Error('the transport is closed'));
  }

  /** Shared by all connections: it contains the trusted certificates, and takes longer to create than the rest of a connection. */
  get secureContext(): SecureContext {
    return (this.#secureContext ??= loadTls().createSecureContext());
  }

  /** Returns a connection to its pool in the next turn of the event loop. */
  restSoon(origin: Origin, connection: UpstreamConnection): void {
    this.#resting.push([origin, connection]);
    if (this.#resting.length === 1) this.clock.schedule(0, this.#rest);
  }

  readonly #rest = (): void => {
    const resting = this.#resting;
    this.#resting = [];
    for (const [origin, connection] of resting) origin.rest(connection);
  };

  #originOf(name: string): Origin {
    let origin = this.#origins.get(name);
    if (origin === undefined) this.#origins.set(name, (origin = new Origin(this, name)));
    return origin;
  }
}

/** The connections to one origin. */
class Origin implements ConnectionOwner {
  readonly #transport: SocketTransport;
  readonly #isTls: boolean;
  readonly #hostname: string;
  readonly #port: number;
  /** The value of the Host header. */
  readonly #host: string;
  /** The most recently used one is used first: it is the least likely to have been closed. */
  readonly #idle: UpstreamConnection[] = [];
  readonly #open = new Set<UpstreamConnection>();
  readonly #opening = new Set<Opening>();
  /** Number of calls that get a new connection: retries after a stale one. */
  #freshOwed = 0;
  /** The last TLS session, for resumption. */
  #session: Buffer | null = null;
  #onEmpty: (() => void) | null = null;

  constructor(transport: SocketTransport, name: string) {
    const { protocol, hostname, port, host } = new URL(name);
    if (protocol !== 'http:' && protocol !== 'https:') throw new Error(`unknown protocol: ${protocol}`);
    this.#transport = transport;
    this.#isTls = protocol === 'https:';
    this.#hostname = hostname.replace(/^\[(.*)\]$/, '$1');
    this.#port = port === '' ? (this.#isTls ? 443 : 80) : Number(port);
    this.#host = host;
  }

  get parsers(): HttpParsers {
    return this.#transport.parsers;
  }

  now(): Instant {
    return this.#transport.clock.now();
  }

  send(call: SocketCall, request: UpstreamRequest): void {
    const waiting = { call, request, text: requestText(request, this.#host) };
    const connection = this.#takeIdle();
    if (connection === null) this.#openFor(waiting);
    else connection.start(waiting);
  }

  #openFor(waiting: Waiting): void {
    const opening = new Opening(this, waiting);
    const socket = this.#connect(opening.onread); // may throw
    this.#opening.add(opening);
    opening.begin(socket, this.#isTls ? 'secureConnect' : 'connect', this.#transport.clock);
  }

  #takeIdle(): UpstreamConnection | null {
    if (this.#freshOwed > 0) {
      this.#freshOwed--;
      return null;
    }
    const now = this.now();
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (!connection.isOpen) continue;
      if (!connection.isExpired(now)) return connection;
      connection.destroy();
    }
    return null;
  }

  #connect(onread: OnReadOpts): Socket {
    const target = { host: this.#hostname, port: this.#port, onread };
    if (!this.#isTls) return connect(target);
    // SNI does not permit IP addresses (RFC 6066 3).
    const servername = isIP(this.#hostname) === 0 ? this.#hostname : '';
    const options: ConnectionOptions & { highWaterMark: number; onread: OnReadOpts } = {
      ...target,
      servername,
      ALPNProtocols: ['http/1.1'],
      highWaterMark: TLS_HIGH_WATER_MARK,
      secureContext: this.#transport.secureContext,
      ...(this.#session !== null && { session: this.#session }),
    };
    const socket = loadTls().connect(options);
    socket.on('session', (session) => (this.#session = session));
    return socket;
  }

  /** The connection that a call waited for is open, or has failed. */
  onOpened(opening: Opening, connection: UpstreamConnection | null, waiting: Waiting | null): void {
    this.#opening.delete(opening);
    if (connection !== null && waiting !== null) {
      this.#open.add(connection);
      connection.start(waiting);
    }
    this.#lookIfEmpty();
  }

  onFree(connection: UpstreamConnection): void {
    this.#transport.restSoon(this, connection);
  }

  rest(connection: UpstreamConnection): void {
    if (!connection.isOpen) return;
    if (!connection.isWritten || this.#onEmpty !== null || this.#idle.length >= IDLE_MAX) return connection.destroy();
    connection.rest();
    this.#idle.push(connection);
  }

  onClosed(connection: UpstreamConnection): void {
    this.#open.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#lookIfEmpty();
  }

  /** A server that closed one idle connection has probably closed those that have been idle for longer. */
  onStale(): void {
    this.#freshOwed++;
    this.#closeIdle();
  }

  onUnsent(waiting: Waiting): void {
    this.#closeIdle();
    try {
      this.#openFor(waiting);
    } catch (error) {
      waiting.call.fail(error as Error, false);
    }
  }

  #closeIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  /** Accepts no more calls; `onEmpty` is called once when the last running call has ended. */
  retire(onEmpty: () => void): void {
    this.#onEmpty = onEmpty;
    this.#closeIdle();
    this.#lookIfEmpty();
  }

  destroy(error: Error): void {
    for (const opening of this.#opening) opening.breakOff(error);
    for (const connection of this.#open) connection.breakOff(error);
  }

  #lookIfEmpty(): void {
    if (this.#onEmpty === null || this.#open.size > 0 || this.#opening.size > 0) return;
    const tell = this.#onEmpty;
    this.#onEmpty = () => {};
    tell();
  }
}

/**
 * A connection that is being opened for one call. The socket's listeners reference it for the lifetime of the connection, so it drops its
 * reference to the call, and to the request's body, when the connection is open.
 */
class Opening implements Carrier {
  readonly #origin: Origin;
  #waiting: Waiting | null;
  readonly onread: OnReadOpts;
  #socket: Socket | null = null;
  #timer: Timer | null = null;
  /** The open connection. */
  #connection: UpstreamConnection | null = null;

  constructor(origin: Origin, waiting: Waiting) {
    this.#origin = origin;
    this.#waiting = waiting;
    this.onread = {
      buffer: readBuffer,
      callback: (length, bytes) => {
        this.#connection?.read(bytes.subarray(0, length));
        return true;
      },
    };
  }

  /** `opened`: the event by which the socket reports that it is ready. */
  begin(socket: Socket, opened: 'connect' | 'secureConnect', clock: Clock): void {
    const { call, request } = this.#waiting!;
    const { connectTimeoutMs } = request;
    this.#socket = socket;
    call.connection = this;
    this.#timer = clock.schedule(connectTimeoutMs, () => this.breakOff(connectTimeout(connectTimeoutMs)));
    socket.setNoDelay(true).setKeepAlive(true, TCP_PROBE_AFTER_MS);
    socket.once(opened, () => this.#opened());
    socket.on('error', (error) => this.breakOff(error));
    socket.once('close', () => this.breakOff(new Error('the connection was closed while it was opened')));
  }

  setPaused(): void {
    // Nothing is read yet; the connection reads the call's pause state when it starts.
  }

  destroy(): void {
    this.#socket?.destroy();
    if (this.#take() !== null) this.#origin.onOpened(this, null, null);
  }

  breakOff(error: Error): void {
    this.#socket?.destroy();
    const waiting = this.#take();
    if (waiting === null) return;
    this.#origin.onOpened(this, null, null);
    waiting.call.fail(error, false);
  }

  #opened(): void {
    const socket = this.#socket;
    const waiting = this.#take();
    if (socket === null || waiting === null) return;
    this.#connection = new UpstreamConnection(this.#origin, socket);
    this.#origin.onOpened(this, this.#connection, waiting);
  }

  /** The waiting call, returned once; null: it has its connection, or was aborted. */
  #take(): Waiting | null {
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#socket = null;
    this.#timer?.cancel();
    this.#timer = null;
    return waiting;
  }
}

function connectTimeout(ms: number): Error {
  return Object.assign(new Error(`no connection within ${ms} ms`), { code: 'ETIMEDOUT' });
}
