/** The listener on plain sockets with the parser of Node.js, which is faster than node:http. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Timer } from '../core/clock.ts';
import { systemClock } from '../gateway/system-clock.ts';
import type { HttpParsers } from '../transport/http-parser.ts';
import { CONNECTIONS_MAX, ConnectionShares } from './connection-shares.ts';
import type { Listener, ListenerOptions } from './listener-parts.ts';
import { SocketConnection, type ConnectionHost } from './socket-connection.ts';

/** The interval of checks for messages that take too long, in milliseconds. */
const lookAfterMs = 10_000;

export function listenOverSockets(options: ListenerOptions, parsers: HttpParsers): Promise<Listener> {
  const listening = new SocketListener(options, parsers);
  // The connection handles `end` itself: a caller that closes its side may still read.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => listening.take(socket));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      server.on('error', options.onError);
      resolve(listening.toListener(server));
    });
  });
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
      for (const connection of this.#open) connection.checkTime(now);
    });
  }

  toListener(server: Server): Listener {
    return {
      host: this.#options.host,
      port: (server.address() as AddressInfo).port,
      windDown: () => {
        this.windingDown = true;
        this.#closeIdle();
      },
      close: () =>
        new Promise((resolve) => {
          this.#closeIdle();
          server.close(() => resolve());
        }),
      destroy: () => {
        for (const { socket } of this.#open) socket.destroy();
      },
    };
  }

  /** Closes every connection without pending responses, after flushing. */
  #closeIdle(): void {
    for (const connection of this.#shares.all) if (connection.isIdle) connection.socket.destroySoon();
  }
}

/** Idle, and with nothing left to flush. */
function isDisposable(connection: SocketConnection): boolean {
  return connection.isIdle && connection.socket.writableLength === 0;
}
