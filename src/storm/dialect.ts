/**
 * What a dialect implements. A dialect is a folder that defines wire formats only; timing, limits, faults, statistics
 * and the sealing of opaque values are shared. `dialects.ts` lists the dialects.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Choice, Prompt } from './content.ts';
import type { ErrorShape, FailureReason } from './failure-reasons.ts';
import type { EventText, Framing } from './framings.ts';
import type { LimitState, Refusal } from './limits.ts';

export type DialectName = 'openai-chat' | 'openai-responses' | 'anthropic-messages' | 'gemini' | 'bedrock';

/** A request received in full. */
export interface Received {
  method: string;
  /** Without the query. */
  path: string;
  /** Without the question mark. */
  query?: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** Set by endpoints whose path names the model; overrides the body's `model`. */
  model?: string;
}

/** Token usage as reported in a response: `output` includes `reasoning`. */
export interface Usage {
  input: number;
  output: number;
  reasoning: number;
}

/** What a response contains besides its content. */
export interface ResponseFacts {
  /** Number of the call, from 1. */
  call: number;
  /** Seconds since the epoch. */
  created: number;
  name: string;
  seed: number;
  usage: Usage;
}

export interface ResponseBody {
  contentType: string;
  body: string | Buffer;
  headers?: Record<string, string>;
}

/** Position of an event in a stream: before the content, content (one token), or one of the closing events. */
export type EventPart = 'preamble' | 'content' | 'finish' | 'usage' | 'done';

export interface StreamEvent extends EventText {
  readonly part: EventPart;
}

/** A parsed request. `prompt` is absent if nothing is generated (embeddings, files); such a request has no stream. */
export interface ParsedRequest {
  model: string;
  stream: boolean;
  inputTokens: number;
  outputLimit: number | undefined;
  prompt?: Prompt;
  /** Fields of the request, for faults that depend on them. */
  fields: Readonly<Record<string, unknown>>;
  /** Default: server-sent events. */
  framing?: Framing;
  body(choices: readonly Choice[], facts: ResponseFacts): ResponseBody;
  events?(choices: readonly Choice[], facts: ResponseFacts): StreamEvent[];
  /** Called once after the response has been sent in full, unless a fault spoiled it. */
  sent?(choices: readonly Choice[], facts: ResponseFacts): void;
}

export interface Failure {
  reason: FailureReason;
  shape?: ErrorShape;
  /** Google's RetryInfo, in seconds. */
  retryDelay?: string;
  /** Overrides the default of `reason`. */
  status?: number;
  /** Overrides the default of `reason`. */
  message?: string;
  model?: string;
  param?: string;
  refusal?: Refusal;
  headers?: Record<string, string>;
  /** Overrides the default of `reason`. */
  code?: string;
  /** Overrides the default of `reason`. */
  type?: string;
  /** Additional fields of the error object. */
  extra?: Readonly<Record<string, unknown>>;
  /** Overrides the dialect's body. */
  raw?: { contentType: string; body: string };
}

export interface Endpoint {
  /** Path under which the statistics count it, always with the version. */
  label: string;
  /** False for lists and lookups, which are exempt from limits and faults. */
  counted: boolean;
  readonly read: (received: Received) => ParsedRequest | Failure;
  /** Default shape of its failures. */
  readonly errorShape?: ErrorShape;
}

/** A failure as an HTTP response. */
export interface FailureResponse {
  status: number;
  contentType: string;
  body: string | Buffer;
  headers?: Record<string, string>;
}

/** State of the limits that response headers may report. */
export interface LimitStates {
  readonly requests?: LimitState | undefined;
  readonly tokens?: LimitState | undefined;
  readonly input?: LimitState | undefined;
  readonly output?: LimitState | undefined;
}

export interface Dialect {
  readonly name: DialectName;
  route(received: Received): Endpoint | undefined;
  /** Whether this dialect formats the error for an unrouted path. */
  claims(path: string): boolean;
  /** The caller's API key, or an empty string. */
  readonly keyOf: (received: Received) => string;
  failure(failure: Failure): FailureResponse;
  /** An error event for a stream in which `sent` events precede it. */
  failureEvent(failure: Failure, sent: number): EventText;
  /** The dialect's event for a failed generation, if it differs from the error event. `first` is the JSON of the stream's first event. */
  readonly failedEvent?: (failure: Failure, sent: number, first: Readonly<Record<string, unknown>>) => EventText;
  /** The body of a non-streaming response whose generation failed, derived from the successful body. */
  readonly failedBody?: (failure: Failure, body: Readonly<Record<string, unknown>>) => Record<string, unknown>;
  limitHeaders(states: LimitStates): Record<string, string>;
  /** Clears state kept between calls. */
  reset?(): void;
  /** How a rate-limit error states its wait. Default: `retry-after` and `retry-after-ms`. */
  readonly waits?: 'seconds' | 'retry-info' | 'none';
  /** True if limits apply per model. */
  readonly limitsPerModel?: true;
  /** True if the requested output limit does not count at admission, unless `countOutput` is set. */
  readonly countsInputOnly?: true;
  /** Response header that carries the request id. */
  readonly requestIdHeader?: string;
}

/** Distinguishes a failure from a parsed request. */
export function isFailure(read: ParsedRequest | Failure): read is Failure {
  return 'reason' in read;
}
