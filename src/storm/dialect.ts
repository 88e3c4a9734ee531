/**
 * What a protocol must know to be spoken by Storm. A dialect knows wire shapes only: timing, limits, faults and
 * counting are the same for all and stand elsewhere.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Choice, Prompt } from './content.ts';
import type { ErrorShape, FailureReason } from './failure-words.ts';
import type { LimitState, Refusal } from './limits.ts';

/** One request, wholly received. `path` is without its query. */
export interface Received {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** What goes into an answer besides its content. */
export interface AnswerFacts {
  /** Number of the call, from 1. */
  call: number;
  /** Seconds since the epoch. */
  created: number;
  name: string;
  seed: number;
  usage: { input: number; output: number };
}

export interface PlainBody {
  contentType: string;
  body: string | Buffer;
  headers?: Record<string, string>;
}

/** The place of an event in a stream: before content, content (one token), or what closes it. */
export type EventPart = 'preamble' | 'content' | 'finish' | 'usage' | 'done';

export interface StreamEvent {
  part: EventPart;
  text: string;
}

/** A request understood. `prompt` is absent where nothing is generated (embeddings, files); then there is no stream either. */
export interface Ask {
  model: string;
  stream: boolean;
  inputTokens: number;
  outputBound: number | undefined;
  prompt?: Prompt;
  /** Names of the fields sent, for faults that mind them. */
  fields: Readonly<Record<string, unknown>>;
  plain(choices: readonly Choice[], facts: AnswerFacts): PlainBody;
  events?(choices: readonly Choice[], facts: AnswerFacts): StreamEvent[];
}

export interface Failure {
  reason: FailureReason;
  shape?: ErrorShape;
  /** Google's RetryInfo, in seconds. */
  retryDelay?: string;
  /** Instead of the reason's own. */
  status?: number;
  /** Instead of the reason's own. */
  message?: string;
  model?: string;
  param?: string;
  refusal?: Refusal;
  headers?: Record<string, string>;
  /** Instead of the reason's own. */
  code?: string;
  /** Instead of the reason's own. */
  type?: string;
  /** Further fields of the error object. */
  extra?: Readonly<Record<string, unknown>>;
  /** The body as it is, instead of the dialect's. */
  raw?: { contentType: string; body: string };
}

export interface Endpoint {
  /** Its path as counted in the statistics, always with the version. */
  label: string;
  /** False for lists that no limit or fault applies to. */
  counted: boolean;
  read(received: Received): Ask | Failure;
}

/** A failure, ready to be sent. */
export interface FailureAnswer {
  status: number;
  contentType: string;
  body: string | Buffer;
  headers?: Record<string, string>;
}

export interface Dialect {
  route(method: string, path: string): Endpoint | undefined;
  /** The caller's key, or an empty string. */
  keyOf(headers: IncomingHttpHeaders): string;
  failure(failure: Failure): FailureAnswer;
  /** An in-band error, ready to be written into a stream. */
  failureEvent(failure: Failure): string;
  limitHeaders(requests: LimitState | undefined, tokens: LimitState | undefined): Record<string, string>;
}

/** Tells a failure from an ask. */
export function isFailure(read: Ask | Failure): read is Failure {
  return 'reason' in read;
}
