/** What `wire` and `transport` find out, and `policy` decides on: the only place where those rooms meet. */

/**
 * Token counts as the provider bills them. `inputTokens` includes what was read from a cache and written to one, `outputTokens` includes
 * reasoning. What a provider does not report is absent.
 */
export interface TokenUsage {
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
  readonly cacheWriteTokens?: number;
  readonly reasoningTokens?: number;
}

/** How far an attempt had come. */
export const PHASES = ['connect', 'headers', 'first_content', 'answer', 'committed'] as const;
export type Phase = (typeof PHASES)[number];

/**
 * - `status`: the provider answered with an error status
 * - `error`: a success status whose body or event holds an error
 * - `connect`: refused, DNS, TLS; nothing was sent
 * - `exhausted`: this process or machine has no descriptor, port or memory for a connection; nothing was sent, and the target is not at fault
 * - `reset`: the connection broke before the answer began
 * - `timeout`: a configured or automatic limit of silence passed; `slow`: the target's own learned limit passed
 * - `cut`: the answer ended before it was complete
 * - `malformed`: what came can't be read (bad JSON, wrong content type, an event too large)
 * - `empty`: complete, and nothing in it
 * - `poor`: complete, and not good enough for the quality policy
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
  'poor',
] as const;
export type FailureKind = (typeof FAILURE_KINDS)[number];

/** How one attempt failed, in facts; what follows from them is decided in `policy/verdict.ts`. */
export interface Failure {
  readonly kind: FailureKind;
  readonly phase: Phase;
  /** The HTTP status, where there was one. */
  readonly status: number | null;
  /** The provider's own words, as found in whatever shape its error had; null where absent. */
  readonly code: string | null;
  readonly type: string | null;
  readonly param: string | null;
  readonly message: string;
  /** The wait that the provider asks for, in milliseconds; null: none given, or one that makes no sense. 0 is kept. */
  readonly retryAfterMs: number | null;
  /** The instant at which the provider says that what is spent comes back, in milliseconds since the epoch; null: none named. */
  readonly resetEpochMs: number | null;
  /** The error body as it came (bounded, decoded), to be passed on where the design says so. */
  readonly body: Uint8Array | null;
  readonly contentType: string | null;
}

/** What is known of an answer so far, or of a whole one. */
export interface ResponseFacts {
  /** The model that the provider says it used. */
  model: string | null;
  usage: TokenUsage | null;
  finishReason: string | null;
  /** Text, refusal, reasoning or a tool call has been seen. */
  hasContent: boolean;
  /** All that a plain answer holds are thoughts. */
  onlyReasoning?: true;
  /** Hashes of the opaque pieces in it: signatures, encrypted reasoning, ids of what one account holds. Absent: there are none. */
  opaque?: string[];
  /** The id by which a later request may continue it at the same account; absent: the dialect has none, or it has not come. */
  responseId?: string;
}
