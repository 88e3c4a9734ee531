/** Options and timeouts of both listeners. */
import type { HttpParsers } from '../transport/http-parser.ts';
import type { ExchangeHandler } from './exchange.ts';
import type { AnswerBroken } from './refusals.ts';
import type { TlsFiles } from './tls-files.ts';
import type { UnixSocket } from './unix-socket.ts';

/** Longer than the 60 s of common load balancers, so that they close idle connections first. */
export const keepAliveTimeoutMs = 75_000;
/** Longer than announced, so that a request sent at the last moment is received. */
export const idleTimeoutMs = keepAliveTimeoutMs + 1_000;
/** While the listener winds down: a request that is on its way is refused with a response, not by a closed connection. */
export const windDownIdleMs = 500;
/** For the head of a request, and for the whole: 64 MB in this time is 1.7 Mbit/s. */
export const headersTimeoutMs = 60_000;
export const requestTimeoutMs = 300_000;

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** A unix socket instead of host and port; its callers are local. */
  readonly socket?: UnixSocket | undefined;
  /** Default: no TLS. */
  readonly tls?: TlsFiles | undefined;
  readonly handle: ExchangeHandler;
  /** The response to invalid HTTP, or to a request that was sent too slowly. */
  readonly answerBroken: AnswerBroken;
  /** The most open connections. Default: `CONNECTIONS_MAX`. */
  readonly connectionsMax?: number;
  /** A connection could not be accepted (too many open files, …); open ones are not affected. */
  readonly onError: (error: Error) => void;
  /** A connection was accepted. */
  readonly onConnection?: () => void;
  /** `sockets`: falls back to node:http if not supported. Default: `sockets`. */
  readonly kind?: 'sockets' | 'node';
  /** Default: that of Node.js. Null: not available. */
  readonly parsers?: HttpParsers | null;
}

export interface Listener {
  readonly host: string;
  /** 0: a unix socket. */
  readonly port: number;
  /** Replaces the certificate for new connections. Only with `tls`. */
  setCertificate(files: TlsFiles): void;
  /** From now on every response closes its connection, and connections that stay idle are closed. New ones are still accepted. */
  windDown(): void;
  /** Accepts no new connections; resolves when all are closed. */
  close(): Promise<void>;
  /** Destroys all connections. */
  destroy(): void;
}
