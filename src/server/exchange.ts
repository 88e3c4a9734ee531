import type { HeaderPairs } from '../core/headers.ts';
import type { Caller } from '../pipeline/request/caller.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import type { ByteCharge } from './unread-answer.ts';

/** Where a caller is: on this machine, on another, or in this process (`breakwater.fetch`). */
export type CallerPlace = 'loopback' | 'remote' | 'process';

/**
 * One request and its response, independent of any HTTP library: the interface for routes. It is the sink of its own response. Header names
 * are in lower case.
 */
export interface Exchange extends ResponseSink, Caller {
  readonly method: string;
  /** Path and query as sent: `/v1/models?limit=2`. */
  readonly target: string;
  readonly place: CallerPlace;
  /** The address of a remote caller; null: local. */
  readonly address: string | null;
  /** The request was sent as HTTP/1.0. */
  readonly isHttp10: boolean;
  /** The value of a header; undefined: absent. Repeated headers are joined as in HTTP, which matches no key. */
  header(name: string): string | undefined;
  /** The header names with this prefix. */
  headersLike(prefix: string): readonly string[];
  /** Whether a header name has this prefix. */
  hasHeaderLike(prefix: string): boolean;
  /** A significant header that was sent twice; null, or method absent: none. */
  repeatedHeader?(): string | null;
  /**
   * The whole body; may be called once. The gate is called for every chunk before it is buffered. Rejects with the error of the gate, or with
   * `CallerLeft`.
   */
  readBody(gate: BodyGate): Promise<ReceivedBody>;
  /** The body as a stream of chunks, with back-pressure; instead of `readBody`. Throws `CallerLeft`. */
  bodyPieces(): AsyncIterable<Uint8Array>;
  /** Adds headers to every response. */
  addHeaders(headers: HeaderPairs): void;
  /** Stops reading the body: `readBody` rejects with this error. */
  stopBody(error: Error): void;
  /** Sets the account in which unread response bytes are counted. */
  chargeTo(charge: ByteCharge): void;
}

/** Joined, or if large, in chunks as received. */
export type ReceivedBody = Uint8Array | readonly Uint8Array[];

/** Limits the size of a body. */
export interface BodyGate {
  /** Called before reading, if the length is known. Throws to refuse. */
  announce(bytes: number): void;
  /** Called for each chunk. Throws to refuse. */
  accept(bytes: number): void;
}

/** The caller disconnected while sending its body: no response is possible. */
export class CallerLeft extends Error {
  override readonly name = 'CallerLeft';
}

/** Handles an exchange and ends it in every case. Never throws. */
export type ExchangeHandler = (exchange: Exchange) => void;
