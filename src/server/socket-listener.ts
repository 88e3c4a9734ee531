/** The listener on plain sockets with the parser of Node.js, which is faster than node:http. */
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Timer } from '../core/clock.ts';
import { systemClock } from '../gateway/system-clock.ts';
import type { HttpParsers } from '../transport/http-parser.ts';
import { endTurn } from '../transport/turn-end.ts';
import { limitHandshakes, portOf, setCertificate, startListening, tlsSettings } from './acceptor.ts';
import { CONNECTIONS_MAX, ConnectionShares } from './connection-shares.ts';
import { windDownIdleMs, type Listener, type ListenerOptions } from './listener-parts.ts';
import { SocketConnection, type ConnectionHost } from './socket-connection.ts';

/** Between closing the port and closing idle connections, in milliseconds. */
const lastRequestMs = 50;
/** The interval of checks of the connections, in milliseconds. */
const lookAfterMs = 250;

export async function listenOverSockets(options: ListenerOptions, parsers: HttpParsers): Promise<Listener> {
  const listening = new SocketListener(options, parsers);
  const { server, destroyHandshakes } = createAcceptor(options, (socket) => listening.take(socket));
  await startListening(server, options);
  return listening.toListener(server, destroyHandshakes);
}

interface Acceptor {
  readonly server: Server;
  readonly destroyHandshakes: () => void;
}

function createAcceptor({ tls }: ListenerOptions, take: (socket: Socket) => void): Acceptor {
  // The connection handles `end` itself: a caller that closes its side may still read.
  const settings = { allowHalfOpen: true, noDelay: true };
  if (tls === undefined) return { server: createServer(settings, take), destroyHandshakes() {} };
  const server = createTlsServer({ ...settings, ...tlsSettings(tls) }, take);
  return { server, destroyHandshakes: limitHandshakes(server) };
}

class SocketListener implements ConnectionHost {
  readonly #options: ListenerOptions;
  readonly parsers: HttpParsers;
  windingDown = false;
  readonly #shares: ConnectionShares<SocketConnection>;
  /** Including refused and displaced ones. */
  readonly #open = new Set<SocketConnection>();
  #look: Timer | null = null;

  constructor(options: ListenerOptions, parsers: HttpParsers) {
    this.#options = options;
    this.parsers = parsers;
    this.#shares = new ConnectionShares(options.connectionsMax ?? CONNECTIONS_MAX, isDisposable);
  }

  get isLocal(): boolean {
    return this.#options.socket !== undefined;
  }

  get handle(): ListenerOptions['handle'] {
    return this.#options.handle;
  }

  get answerBroken(): ListenerOptions['answerBroken'] {
    return this.#options.answerBroken;
  }

  take(socket: Socket): void {
    this.#options.onConnection?.();
    const connection = new SocketConnection(this, socket);
    this.#open.add(connection);
    const displaced = this.#shares.add(connection);
    if (displaced === 'refused') return connection.refuse('CONNECTIONS');
    displaced?.socket.destroySoon();
    if (this.#look === null) this.#lookLater();
  }

  onClosed(connection: SocketConnection): void {
    this.#open.delete(connection);
    this.#shares.remove(connection);
    if (this.#open.size > 0) return;
    this.#look?.cancel();
    this.#look = null;
  }

  #lookLater(): void {
    this.#look = systemClock.schedule(lookAfterMs, () => {
      this.#lookLater();
      const now = systemClock.now();
      for (const connection of this.#open) connection.look(now);
    });
  }

  toListener(server: Server, destroyHandshakes: () => void): Listener {
    return {
      host: this.#options.host,
      port: portOf(server),
      setCertificate: (files) => setCertificate(server, files),
      windDown: () => {
        this.windingDown = true;
        endTurn();
        for (const connection of this.#shares.all) if (connection.isIdle) connection.socket.setTimeout(windDownIdleMs);
      },
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve());
          // A request on an idle or new connection may have arrived and not been read yet: it is answered first.
          if (this.#open.size > 0) systemClock.schedule(lastRequestMs, () => this.#closeIdle());
        }),
      destroy: () => {
        endTurn();
        destroyHandshakes();
        for (const { socket } of this.#open) socket.destroy();
      },
    };
  }

  /** Closes every connection without pending responses, after flushing. */
  #closeIdle(): void {
    endTurn();
    for (const connection of this.#shares.all) if (connection.isIdle) connection.socket.destroySoon();
  }
}

/** Idle, and with nothing left to flush. */
function isDisposable(connection: SocketConnection): boolean {
  return connection.isIdle && connection.socket.writableLength === 0;
}
