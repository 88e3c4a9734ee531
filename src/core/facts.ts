/** The facts that `wire` and `transport` find and `policy` decides on. */

/**
 * Token counts as billed by the provider. `inputTokens` includes cache reads and writes, `outputTokens` includes reasoning. Counts that a
 * provider does not report are absent.
 */
export interface TokenUsage {
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
  readonly cacheWriteTokens?: number;
  /** The part of `cacheWriteTokens` that is cached for an hour, at a price of its own. */
  readonly cacheWrite1hTokens?: number;
  readonly reasoningTokens?: number;
  readonly audioInputTokens?: number;
  readonly imageInputTokens?: number;
  readonly audioOutputTokens?: number;
  /** The class of service that was billed; absent: standard. */
  readonly serviceTier?: 'batch' | 'flex' | 'priority';
}

/** The progress of an attempt. */
export const PHASES = ['connect', 'headers', 'first_content', 'answer', 'committed'] as const;
export type Phase = (typeof PHASES)[number];

/**
 * - `status`: the provider responded with an error status
 * - `error`: a success status with an error in the body or an event
 * - `connect`: refused, DNS, TLS; nothing was sent
 * - `exhausted`: this process or machine has no descriptor, port or memory for a connection; nothing was sent, and the target is not at fault
 * - `reset`: the connection broke before the response began
 * - `timeout`: a configured or automatic timeout passed; `slow`: the learned timeout of the target passed
 * - `cut`: the response ended prematurely
 * - `malformed`: the response can't be parsed (bad JSON, wrong content type, an event too large)
 * - `empty`: complete without content
 * - `failed_check`: complete, and failed a quality check
 */
export const FAILURE_KINDS = [
  'status',
  'error',
  'connect',
  'exhausted',
  'reset',
  'timeout',
  'slow',
  'cut',
  'malformed',
  'empty',
  'failed_check',
] as const;
export type FailureKind = (typeof FAILURE_KINDS)[number];

/** The facts of a failed attempt; `policy/verdict.ts` decides what follows. */
export interface Failure {
  readonly kind: FailureKind;
  readonly phase: Phase;
  /** The HTTP status; null: none was received. */
  readonly status: number | null;
  /** The code in the provider's error; null: none. */
  readonly code: string | null;
  readonly type: string | null;
  readonly param: string | null;
  readonly message: string;
  /** The wait that the provider requests, in milliseconds; null: none, or an invalid one. 0 is valid. */
  readonly retryAfterMs: number | null;
  /** When the exhausted limit resets according to the provider, in milliseconds since the epoch; null: not given. */
  readonly resetEpochMs: number | null;
  /** The error body (truncated, decoded), which is passed on in some cases. */
  readonly body: Uint8Array | null;
  readonly contentType: string | null;
}

/** What is known of a response, so far or in whole. */
export interface ResponseFacts {
  /** The model named in the response. */
  model: string | null;
  usage: TokenUsage | null;
  finishReason: string | null;
  /** The provider's own finish reason, if it denotes a failed generation; absent: it does not. */
  failedFinish?: string;
  /** Text, refusal, reasoning or a tool call has been seen. */
  hasContent: boolean;
  /** A non-streaming response contains reasoning only. */
  onlyReasoning?: true;
  /** Hashes of its opaque values: signatures, encrypted reasoning, ids of objects of one account. Absent: none. */
  opaque?: string[];
  /** The id by which a later request can continue it at the same account; absent: the dialect has none, or not received. */
  responseId?: string;
}
