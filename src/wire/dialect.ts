/**
 * The interface of a dialect: one object through which the engine reads and writes everything on the wire. A new dialect is a folder and
 * a line in `dialects.ts`; nothing else imports from a dialect's folder.
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
  /** The family named in configuration, logs and metrics. */
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
   * Reads the fields that Breakwater acts on from a scanned body; every byte is preserved. `path`: what the path states in addition. Takes
   * time proportional to the number of top-level members.
   */
  decode(operation: Operation, bytes: Uint8Array, scan: JsonObjectScan | JsonFault, path: PathFacts): DecodedRequest;
  /** The body with the edits applied and all other bytes preserved; the same object if nothing changes. A large body is returned in pieces. */
  edit(body: RequestBody, edits: RequestEdits): Uint8Array | readonly Uint8Array[];
  /** A key for comparing requests, equal for all ways to write the same request. */
  identity(body: RequestBody): string | readonly (string | Uint8Array)[];
  /** The requested response format; null: free text. */
  format(body: RequestBody): ResponseFormat | null;
  /** A caller's header that depends on members of the body; absent: none. */
  readonly tied?: TiedHeader;
}

/** A header whose value names members of the body, and is rejected without them. */
export interface TiedHeader {
  /** In lower case. */
  readonly name: string;
  /** The value for a body without the members `leftOut`; empty: the header is omitted. */
  valueFor(value: string, leftOut: readonly string[], isSent: (member: string) => boolean): string;
}

/** What a dialect states in the path of a request. */
export interface PathFacts {
  readonly model: string | null;
  readonly stream: boolean;
}

export interface RequestEdits {
  /** The target's own name for the model; replaces the value of `model`. */
  readonly model: string;
  /** Members to replace, or to append. Takes precedence over `drop`. */
  readonly set?: Readonly<Record<string, unknown>>;
  /** Members to remove. */
  readonly drop?: readonly string[];
  /** Members that this target does not accept in the body, including `model` if the path names it. Takes precedence over everything. */
  readonly omit?: readonly string[];
  /** Members with a different name at the target. */
  readonly rename?: ReadonlyMap<string, string>;
  /** Requests usage in the stream, for dialects that report it only on demand. */
  readonly askUsage?: boolean;
  /** Byte ranges inside members to remove, in order. */
  readonly cuts?: readonly Cut[];
}

/** The response format that a request asks for. */
export interface ResponseFormat {
  /** The schema that the response must match; null: any JSON object. */
  readonly schema: Readonly<Record<string, unknown>> | null;
  /** The schema as JSON; empty if there is none. */
  readonly schemaText: string;
}

/** The result of reading a complete response. */
export type ReadResponse =
  | {
      readonly ok: true;
      readonly facts: ResponseFacts;
      /** Present if the response reports no usage. */
      readonly estimatedOutputTokens?: number;
      /** The response in the caller's dialect and the requested shape, if it came in another. */
      readonly converted?: Uint8Array;
    }
  | {
      readonly ok: false;
      readonly failure: Failure;
      readonly usage: TokenUsage | null;
      /** An empty response in the caller's dialect, if it came in another. */
      readonly converted?: Uint8Array;
    };

export interface DialectResponse {
  /** Classifies a body that came with a success status. `choices`: the number requested; `outline`: of a large body. */
  read(operation: Operation, body: Uint8Array, choices: number, outline: JsonOutline | null): ReadResponse;
  /** The choices of a valid response, for quality checks. */
  choices(body: Uint8Array, outline?: JsonOutline | null): AnswerChoice[];
  /** The same response with other texts: `texts[i]` for choice i; null: unchanged. */
  withTexts(body: Uint8Array, texts: readonly (string | null)[]): Uint8Array;
  /** Converts a complete response to the events of a stream. */
  toStream(body: Uint8Array, wantsUsage: boolean): Uint8Array;
  /** Converts the events of a complete stream to a non-streaming response. */
  fromStream(events: Uint8Array): Uint8Array;
  /** The same, as the events arrive. */
  createFold(): StreamFold;
  /** True if `convertForm` may be called: a large response is available in its own form only. */
  canConvertForm(response: WholeResponse, requested: RequestedForm): boolean;
  /** The response in the requested form; the same bytes if it has that form. */
  convertForm(response: WholeResponse, requested: RequestedForm): Uint8Array;
  /** True if a choice was cut short by its output limit or a filter. */
  isUnfinished(body: Uint8Array): boolean;
}

/** A complete response, as it is stored. */
export interface WholeResponse {
  readonly body: Uint8Array;
  readonly isStream: boolean;
  /** The stream's events include usage. A non-streaming response always does, if the provider reported it. */
  readonly includesUsage: boolean;
  readonly usage: TokenUsage | null;
}

export interface RequestedForm {
  readonly stream: boolean;
  /** Whether a stream ends with usage. */
  readonly usage: boolean;
}

/** Folds the events of a stream into one response. */
export interface StreamFold {
  /** The stream is too large to fold, and the result is incomplete. */
  readonly isTooLarge: boolean;
  /** `events`: complete ones. */
  push(events: Uint8Array): void;
  finish(): Uint8Array;
}

export interface StreamPush {
  /** Original bytes of complete events that may be sent downstream, in order. */
  readonly pieces: readonly Uint8Array[];
  /** True if these pieces contain content. */
  readonly hasContent: boolean;
  /** The stream is complete, and the pieces end with its terminator. */
  readonly done: boolean;
  /** The stream has failed; the pieces precede the failure. */
  readonly failure: Failure | null;
}

export interface StreamReader {
  /** Updated as the stream is read. */
  readonly facts: ResponseFacts;
  /** True if every choice has finished: only usage and the terminator may follow. */
  readonly isComplete: boolean;
  /** For providers that report no usage. */
  readonly estimatedOutputTokens: number;
  /** False: no secret, and no part of one, is in what it has passed so far. Absent: it does not search for secrets. */
  readonly mayHoldSecret?: boolean;
  /** Returns nothing more after `done` or a failure. */
  push(chunk: Uint8Array): StreamPush;
  /** Called when the upstream has closed cleanly. */
  end(): StreamPush;
}

export interface WatchOptions {
  readonly operation: Operation;
  /** The number of choices requested: with fewer, only the dialect's terminator completes the stream. Default 1. */
  readonly choices?: number;
  /** False: the caller did not request usage, and an event that holds only usage is removed. */
  readonly keepUsage: boolean;
  /** In bytes; a larger event is `malformed`. */
  readonly maxEventSize: number;
  /** Secrets to look for; null or absent: none. */
  readonly secrets?: SecretScan | null;
}

/** Follows the beginning of the first choice of a stream, in bytes that have passed a stream reader. */
export interface OpeningReader {
  /** The text so far, without reasoning. */
  readonly text: string;
  /** There is text in the dialect's own field for refusals. */
  readonly refuses: boolean;
  /** It calls a tool, or has content other than text. */
  readonly holdsOther: boolean;
  read(pieces: readonly Uint8Array[]): void;
}

export interface DialectStream {
  /** Returns the original bytes, and the facts found in them. Null: responses to this operation are never streamed. */
  watch(options: WatchOptions): StreamReader | null;
  createOpeningReader(): OpeningReader;
  /** A comment, which clients skip; line breaks in `text` become spaces, so that it can't forge events. */
  comment(text: string): Uint8Array;
  /** Sent to keep a silent stream open. */
  readonly keepAlive: Uint8Array;
}

/** An error for a caller, from Breakwater or a provider. `type` and `code` may be another dialect's terms. */
export interface ErrorDetails {
  /** When the caller may retry, in milliseconds; null or absent: unknown, or a retry would not help. */
  readonly retryAfterMs?: number | null;
  readonly status: number;
  readonly message: string;
  readonly type: string | null;
  readonly param: string | null;
  readonly code: string | null;
}

export interface DialectError {
  /** The body of an error response. */
  body(error: ErrorDetails, requestId: string): Uint8Array;
  /** A provider's error body, rewritten for another status; absent: the body does not contain the status. */
  restated?(body: Uint8Array, status: number): Uint8Array;
  /** The error as the last event of a stream; no terminator may follow. */
  event(error: ErrorDetails, requestId: string): Uint8Array;
  /** False: an error body has the form of another protocol or platform, whose terms clients of this dialect do not recognize. */
  isOwn(body: Readonly<Record<string, unknown>>): boolean;
  /** A provider's error of another dialect in the terms of this one. `reason`: its classification. */
  foreign(error: ErrorDetails, reason: string): ErrorDetails;
  /** `type` of an error that Breakwater generates. */
  typeOf(error: BreakwaterError): string;
  /** The header in which the dialect's own SDK looks for the request id; null: none. */
  readonly requestIdHeader: string | null;
}
