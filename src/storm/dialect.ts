/**
 * What a dialect must supply to be spoken by Storm. A dialect is a folder that knows wire shapes only: timing, limits,
 * faults, counting and the sealing of opaque pieces are shared by all and stand elsewhere. `dialects.ts` lists them.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Choice, Prompt } from './content.ts';
import type { ErrorShape, FailureReason } from './failure-words.ts';
import type { EventText, Framing } from './framings.ts';
import type { LimitState, Refusal } from './limits.ts';

export type DialectName = 'openai-chat' | 'openai-responses' | 'anthropic-messages' | 'gemini' | 'bedrock';

/** One request, wholly received. */
export interface Received {
  method: string;
  /** Without its query. */
  path: string;
  /** Without its question mark. */
  query?: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** Set by an endpoint whose path names the model; it replaces the body's `model`. */
  model?: string;
}

/** Tokens as a response reports them: `output` includes `reasoning`. */
export interface Usage {
  input: number;
  output: number;
  reasoning: number;
}

/** What a response holds besides its content. */
export interface ResponseFacts {
  /** Number of the call, from 1. */
  call: number;
  /** Seconds since the epoch. */
  created: number;
  name: string;
  seed: number;
  usage: Usage;
}

export interface PlainBody {
  contentType: string;
  body: string | Buffer;
  headers?: Record<string, string>;
}

/** The place of an event in a stream: before content, content (one token), or what closes it. */
export type EventPart = 'preamble' | 'content' | 'finish' | 'usage' | 'done';

export interface StreamEvent extends EventText {
  readonly part: EventPart;
}

/** A request that was understood. `prompt` is absent where nothing is generated (embeddings, files); then there is no stream either. */
export interface Ask {
  model: string;
  stream: boolean;
  inputTokens: number;
  outputBound: number | undefined;
  prompt?: Prompt;
  /** Names of the fields sent, for faults that mind them. */
  fields: Readonly<Record<string, unknown>>;
  /** Default: server-sent events. */
  framing?: Framing;
  plain(choices: readonly Choice[], facts: ResponseFacts): PlainBody;
  events?(choices: readonly Choice[], facts: ResponseFacts): StreamEvent[];
  /** Called once when the response was sent to its end, unless a fault spoiled it. */
  sent?(choices: readonly Choice[], facts: ResponseFacts): void;
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
  /** False for lists and look-ups that no limit or fault applies to. */
  counted: boolean;
  readonly read: (received: Received) => Ask | Failure;
  /** The shape of its failures, unless a failure has one of its own. */
  readonly errorShape?: ErrorShape;
}

/** A failure, ready to be sent. */
export interface FailureAnswer {
  status: number;
  contentType: string;
  body: string | Buffer;
  headers?: Record<string, string>;
}

/** What the limits that an answer may show have left. */
export interface LimitStates {
  readonly requests?: LimitState | undefined;
  readonly tokens?: LimitState | undefined;
  readonly input?: LimitState | undefined;
  readonly output?: LimitState | undefined;
}

export interface Dialect {
  readonly name: DialectName;
  route(received: Received): Endpoint | undefined;
  /** Whether a path that no dialect routes is refused in this one's words. */
  claims(path: string): boolean;
  /** The caller's key, or an empty string. */
  readonly keyOf: (received: Received) => string;
  failure(failure: Failure): FailureAnswer;
  /** An in-band error, to be written into a stream after `sent` events. */
  failureEvent(failure: Failure, sent: number): EventText;
  /**
   * The dialect's own event for a generation that failed, where it has one besides the error event. `first` is the JSON of
   * the stream's first event.
   */
  readonly failedEvent?: (failure: Failure, sent: number, first: Readonly<Record<string, unknown>>) => EventText;
  /** The body of a non-streaming response whose generation failed, made from the body of one that did not. */
  readonly failedBody?: (failure: Failure, body: Readonly<Record<string, unknown>>) => Record<string, unknown>;
  limitHeaders(states: LimitStates): Record<string, string>;
  /** Forgets what it keeps between calls. */
  reset?(): void;
  /** How a refusal by a limit says when to come again. Default: `retry-after` and `retry-after-ms`. */
  readonly waits?: 'seconds' | 'retry-info' | 'none';
  /** True where limits are counted for each model apart. */
  readonly limitsPerModel?: true;
  /** True where the output that a caller asks for does not count at admission, unless `countOutput` is set. */
  readonly countsInputOnly?: true;
  /** Name of the header with the request's id, where the dialect has one. */
  readonly requestIdHeader?: string;
}

/** Distinguishes a failure from an ask. */
export function isFailure(read: Ask | Failure): read is Failure {
  return 'reason' in read;
}
