/** What both listeners share: their options, and how long a connection may take. */
import type { HttpParsers } from '../transport/http-parser.ts';
import type { ExchangeHandler } from './exchange.ts';
import type { AnswerBroken } from './refusals.ts';

/** Longer than the 60 s of common load balancers, so that an idle connection is closed by them and not here. */
export const keepAliveTimeoutMs = 75_000;
/** For a head: beyond it the caller is broken or hostile. For a whole request: 64 MB in this time is 1.7 Mbit/s. */
export const headersTimeoutMs = 60_000;
export const requestTimeoutMs = 300_000;

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly handle: ExchangeHandler;
  /** The answer to what is not HTTP, or came too slowly. */
  readonly answerBroken: AnswerBroken;
  /** Open connections; default `CONNECTIONS_MAX`. */
  readonly connectionsMax?: number;
  /** A connection could not be taken (too many open files, …); those that are open go on. */
  readonly onError: (error: Error) => void;
  /** A connection was accepted. */
  readonly onConnection?: () => void;
  /** `sockets`: node:http stands in where they can't be used. Default: `sockets`. */
  readonly kind?: 'sockets' | 'node';
  /** Default: Node's. Null: it can't be used. */
  readonly parsers?: HttpParsers | null;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** From now on every answer closes its connection, and idle ones are closed at once. New ones are still taken. */
  windDown(): void;
  /** Takes no new connection; resolves when the last one is gone. */
  close(): Promise<void>;
  /** Breaks off every connection. */
  destroy(): void;
}
