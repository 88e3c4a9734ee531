/**
 * What is said on the wire: one object for each dialect, through which the engine reads and writes everything. A new dialect is a
 * folder and a line in `dialects.ts`; nothing else imports a dialect's folder.
 */
import type { BreakwaterError } from '../core/errors.ts';
import type { ResponseFacts, Failure, TokenUsage } from '../core/facts.ts';
import type { AnswerChoice } from '../core/quality.ts';
import type { Operation, Protocol, RequestFacts } from '../core/request.ts';
import type { SecretScan } from '../core/secrets/secret-scan.ts';
import type { JsonFault, JsonObjectScan } from './json-scan.ts';
import type { JsonOutline } from './json-outline.ts';
import type { DialectName } from './model.ts';
import type { Cut, OpaqueForms } from './opaque/opaque.ts';
import type { RequestBody } from './request-body.ts';

export interface Dialect {
  readonly name: DialectName;
  /** The family that configuration, logs and metrics name. */
  readonly protocol: Protocol;
  readonly request: DialectRequest;
  readonly response: DialectResponse;
  readonly stream: DialectStream;
  readonly error: DialectError;
  readonly opaque: OpaqueForms;
}

export type DecodedRequest =
  | { readonly ok: true; readonly facts: RequestFacts; readonly body: RequestBody }
  | { readonly ok: false; readonly message: string; readonly param: string | null };

export interface DialectRequest {
  /**
   * What we act on in a body whose scan has been made; every byte is kept. `path`: what the path says beside it. Takes time by the
   * number of top-level members only.
   */
  decode(operation: Operation, bytes: Uint8Array, scan: JsonObjectScan | JsonFault, path: PathFacts): DecodedRequest;
  /** The body with the permitted edits: the original bytes for the rest, the very same where nothing changes. In pieces where it is large. */
  edit(body: RequestBody, edits: RequestEdits): Uint8Array | readonly Uint8Array[];
  /** What a request is compared by: the same for all the ways in which the same can be written. */
  identity(body: RequestBody): string | readonly (string | Uint8Array)[];
  /** In which form the response is wanted; null: any text will do. */
  format(body: RequestBody): ResponseFormat | null;
  /** A header of the caller's that belongs to members of the body; absent: there is none. */
  readonly tied?: TiedHeader;
}

/** A header whose value names members of the body, and is refused without them. */
export interface TiedHeader {
  /** In lower case. */
  readonly name: string;
  /** The value for a body without the members `leftOut`; empty: the header is left out. */
  valueFor(value: string, leftOut: readonly string[], isSent: (member: string) => boolean): string;
}

/** What a dialect says in the path of a request. */
export interface PathFacts {
  readonly model: string | null;
  readonly stream: boolean;
}

export interface RequestEdits {
  /** The target's own name for the model; replaces the value of `model`. */
  readonly model: string;
  /** Members to replace, or to add at the end. Wins over `drop`. */
  readonly set?: Readonly<Record<string, unknown>>;
  /** Members to leave out. */
  readonly drop?: readonly string[];
  /** Members that have no place in the body at this target, `model` among them if it stands in the path. Wins over everything. */
  readonly omit?: readonly string[];
  /** Members whose name is another one at the target. */
  readonly rename?: ReadonlyMap<string, string>;
  /** Asks for the usage of a stream, where the dialect gives it only on demand. */
  readonly askUsage?: boolean;
  /** Bytes inside of members that are taken out, in order. */
  readonly cuts?: readonly Cut[];
}

/** In which form a request wants its response. */
export interface ResponseFormat {
  /** What it must fit; null: any JSON object will do. */
  readonly schema: Readonly<Record<string, unknown>> | null;
  /** The same as JSON; empty where there is none. */
  readonly schemaText: string;
}

/** What a whole response is. */
export type ReadResponse =
  | {
      readonly ok: true;
      readonly facts: ResponseFacts;
      /** An estimate of the output, where the response tells no usage. */
      readonly estimatedOutputTokens?: number;
      /** The response in the caller's dialect and the shape that was asked for, where it came in another. */
      readonly converted?: Uint8Array;
    }
  | {
      readonly ok: false;
      readonly failure: Failure;
      readonly usage: TokenUsage | null;
      /** An empty response in the caller's dialect, where it was in another one. */
      readonly converted?: Uint8Array;
    };

export interface DialectResponse {
  /** Judges a body that came with a success status. `choices`: how many were asked for; `outline`: of a large body. */
  read(operation: Operation, body: Uint8Array, choices: number, outline: JsonOutline | null): ReadResponse;
  /** The choices of a whole response, to be judged; it has been read as one before. */
  choices(body: Uint8Array, outline?: JsonOutline | null): AnswerChoice[];
  /** The same response with other texts: `texts[i]` for the choice at place i, null: as it is. */
  withTexts(body: Uint8Array, texts: readonly (string | null)[]): Uint8Array;
  /** A whole response as the events of its stream. */
  toStream(body: Uint8Array, wantsUsage: boolean): Uint8Array;
  /** The events of a complete stream as one whole response. */
  toPlain(events: Uint8Array): Uint8Array;
  /** The same, as the events come. */
  createFold(): StreamFold;
  /** True if `inForm` may be called: a large response is given in its own form only. */
  canBeInForm(response: WholeResponse, wanted: WantedForm): boolean;
  /** The same response in the wanted form; the same bytes where it has that form. */
  inForm(response: WholeResponse, wanted: WantedForm): Uint8Array;
  /** True if some choice came to its end before what it had to say did: at its length limit, or by a filter. */
  isUnfinished(body: Uint8Array): boolean;
}

/** A complete response as it is kept. */
export interface WholeResponse {
  readonly body: Uint8Array;
  readonly isStream: boolean;
  /** The events of a stream tell the usage; a plain response always does, where the provider did. */
  readonly tellsUsage: boolean;
  readonly usage: TokenUsage | null;
}

export interface WantedForm {
  readonly stream: boolean;
  /** Of a stream: with the usage at its end. */
  readonly usage: boolean;
}

/** Folds the events of a stream into one whole response. */
export interface StreamFold {
  /** It holds more than is made one response: what was folded is not all of it. */
  readonly isTooLarge: boolean;
  /** `events`: whole ones. */
  push(events: Uint8Array): void;
  finish(): Uint8Array;
}

export interface StreamPush {
  /** Original bytes of whole events that may go downstream, in order. */
  readonly pieces: readonly Uint8Array[];
  /** True if content is among these pieces. */
  readonly hasContent: boolean;
  /** The stream has ended well, and its terminator is the end of the pieces. */
  readonly done: boolean;
  /** The stream has failed; the pieces are what came before. */
  readonly failure: Failure | null;
}

export interface StreamReader {
  /** What is known so far; goes on changing. */
  readonly facts: ResponseFacts;
  /** True if every choice has ended: only usage and terminator may follow. */
  readonly isComplete: boolean;
  /** An estimate of the output tokens, for a provider that reports no usage. */
  readonly estimatedOutputTokens: number;
  /** False: nothing that it has passed so far contains a secret or a part of one. Absent: it does not look for secrets. */
  readonly mayHoldSecret?: boolean;
  /** After `done` or a failure it gives nothing more. */
  push(chunk: Uint8Array): StreamPush;
  /** The upstream closed cleanly. */
  end(): StreamPush;
}

export interface WatchOptions {
  readonly operation: Operation;
  /** How many choices were asked for: with fewer, only the dialect's terminator ends the stream well. Default 1. */
  readonly choices?: number;
  /** False: the caller didn't ask for the usage, and where it stands in an event of its own, that is taken out. */
  readonly keepUsage: boolean;
  /** Bytes of one event; a larger one is `malformed`. */
  readonly maxEventSize: number;
  /** Secrets to look for; null or absent: none. */
  readonly secrets?: SecretScan | null;
}

/** How the first choice of a stream begins, in pieces that have passed a stream reader. */
export interface OpeningReader {
  /** What it has said so far, without reasoning. */
  readonly text: string;
  /** It has said something in the dialect's own field for refusals. */
  readonly refuses: boolean;
  /** It calls a tool, or holds something that is no text. */
  readonly holdsOther: boolean;
  read(pieces: readonly Uint8Array[]): void;
}

export interface DialectStream {
  /** Bytes in, the same bytes and facts out. Null: a response to this operation never comes as events. */
  watch(options: WatchOptions): StreamReader | null;
  createOpeningReader(): OpeningReader;
  /** A comment that clients skip; line ends in `text` become spaces, or it could forge events. */
  comment(text: string): Uint8Array;
  /** What keeps a silent stream alive. */
  readonly keepAlive: Uint8Array;
}

/** An error as a caller reads it, ours or a provider's. `type` and `code` may be another dialect's words. */
export interface ErrorWords {
  /** When the caller may ask again, in milliseconds; null or absent: not known, or that would not help. */
  readonly retryAfterMs?: number | null;
  readonly status: number;
  readonly message: string;
  readonly type: string | null;
  readonly param: string | null;
  readonly code: string | null;
}

export interface DialectError {
  /** The body of an error response. */
  body(words: ErrorWords, requestId: string): Uint8Array;
  /** A provider's error body for another status than its own; absent: the body does not name the status. */
  restated?(body: Uint8Array, status: number): Uint8Array;
  /** The error as the last event of a stream; no terminator may follow. */
  event(words: ErrorWords, requestId: string): Uint8Array;
  /** False: an error body is in the form of another protocol or platform, whose words clients of this one do not know. */
  isOwn(body: Readonly<Record<string, unknown>>): boolean;
  /** A provider's error of another dialect in the words that clients of this one look for. `reason`: what it was judged to be. */
  foreign(words: ErrorWords, reason: string): ErrorWords;
  /** `type` of an error of ours. */
  typeOf(error: BreakwaterError): string;
  /** The header under which the dialect's own SDK looks for the request's id, beside ours; null: there is none. */
  readonly requestIdHeader: string | null;
}
