import type { HeaderPairs } from '../core/headers.ts';
import type { Caller } from '../pipeline/request/caller.ts';
import type { AnswerSink } from '../pipeline/request/response-sink.ts';
import type { ByteCharge } from './unread-answer.ts';

/** Where a caller sits: on this machine, elsewhere, or in this very process (`breakwater.fetch`). */
export type CallerPlace = 'loopback' | 'remote' | 'process';

/**
 * One request and the way back to its caller, free of any HTTP library: what the routes are written against. It is
 * itself the sink of its answer. Header names are lower case.
 */
export interface Exchange extends AnswerSink, Caller {
  readonly method: string;
  /** Path and query as sent: `/v1/models?limit=2`. */
  readonly target: string;
  readonly place: CallerPlace;
  /** Where a caller on another machine sits; null: on this one. */
  readonly address: string | null;
  /** The request was sent as HTTP/1.0. */
  readonly isHttp10: boolean;
  /** The value of a header; undefined: absent. Repeated ones are joined as HTTP says, which matches no key. */
  header(name: string): string | undefined;
  /** The names of the headers that begin like this. */
  headersLike(prefix: string): readonly string[];
  /** True if a header's name begins like this. */
  hasHeaderLike(prefix: string): boolean;
  /** A header that we act on and that was sent twice; null, or absent: none was. */
  repeatedHeader?(): string | null;
  /**
   * The whole body; once only. Every piece is shown to the gate before it is kept. Rejects with what the gate
   * throws, or with `CallerLeft`.
   */
  readBody(gate: BodyGate): Promise<ReceivedBody>;
  /** The body as it comes, held back while a piece is being worked on; instead of `readBody`. Throws `CallerLeft`. */
  bodyPieces(): AsyncIterable<Uint8Array>;
  /** Headers that every answer carries beside its own. */
  addHeaders(headers: HeaderPairs): void;
  /** Nothing more of the body is wanted: `readBody` rejects with this error. */
  stopBody(error: Error): void;
  /** What its caller does not read is counted here. */
  chargeTo(charge: ByteCharge): void;
}

/** In one piece, or as it came where it is large. */
export type ReceivedBody = Uint8Array | readonly Uint8Array[];

/** Decides how much of a body is taken. */
export interface BodyGate {
  /** Called once before anything is read, where the length is told beforehand. Throws to refuse. */
  announce(bytes: number): void;
  /** Called for each piece. Throws to refuse. */
  accept(bytes: number): void;
}

/** The caller hung up while its body was on the way: nobody is left to answer. */
export class CallerLeft extends Error {
  override readonly name = 'CallerLeft';
}

/** Takes one exchange and ends it, whatever happens. Never throws. */
export type ExchangeHandler = (exchange: Exchange) => void;
