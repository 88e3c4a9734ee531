/** The options of Storm, with defaults and units. Times are milliseconds. */
import type { StormBatchOptions } from './batches/options.ts';
import type { ErrorShape, FailureReason } from './failure-reasons.ts';
import type { StormFaultKind } from './fault-names.ts';

/** A constant, a uniform spread, a log-normal one given by its median and 99th percentile, or a uniform choice among samples. */
export type Spread = number | { min: number; max: number } | { p50: number; p99: number } | { samples: number[] };

export interface StormLimits {
  requestsPerMinute?: number;
  tokensPerMinute?: number;
  /** Input tokens alone, as Anthropic limits them. */
  inputTokensPerMinute?: number;
  /** Output tokens as they are generated; the requested limit does not count. A call can overspend, which leaves the limit negative. */
  outputTokensPerMinute?: number;
  /** A day is 1,440 simulated minutes. */
  requestsPerDay?: number;
  /** Concurrent calls. */
  concurrency?: number;
  /**
   * `bucket` (default): continuous refill, capacity = limit × burst. `sliding`: at most the limit in any minute.
   * `perSecond`: a sixtieth of the limit in any sixtieth of a minute.
   */
  enforce?: 'bucket' | 'sliding' | 'perSecond';
  /** Share of the minute's limit that can be spent at once; `bucket` only. Default 1. */
  burst?: number;
  /** Refused calls count towards the request limits. Default false. */
  countFailures?: boolean;
  /** Count the requested output limit at admission, as OpenAI does. Default: true, except for Gemini, which counts input only. */
  countOutput?: boolean;
  /** Send rate-limit headers, if the dialect has any. Default true. */
  advertise?: boolean;
  /**
   * Wait hints of a rate-limit 429: `both` (default) retry-after and retry-after-ms, `seconds`, or `none`. Anthropic
   * sends seconds only, Gemini its RetryInfo; Bedrock and Vertex send no hint.
   */
  hints?: 'both' | 'seconds' | 'none';
}

export interface StormTiming {
  /** Time until the headers of a stream. Failures are sent at once. Default 0. */
  headersMs?: Spread;
  /** Time from the headers of a stream to its first content. Default 0. */
  firstTokenMs?: Spread;
  /** Pace of content. Default: as fast as the socket accepts it. */
  tokensPerSecond?: Spread;
  /** Length of a response in tokens (one word each), unless the request limits it. Default 20 to 60. */
  tokens?: number | { min: number; max: number };
  /** Stream events per write. Default: 1 if `tokensPerSecond` is set, else all. */
  eventsPerPacket?: number;
  /** Time until the headers of a non-streaming response. Default: the time that its stream would take. */
  plainMs?: Spread;
  /** Maximum relative variation of each wait, in both directions. Default 0. */
  jitter?: number;
}

/** Timing of some models during a time window, over that of the options. Of several that apply the last one is used. */
export interface StormPhase {
  /** Affects only these models. Default: all. */
  models?: string[];
  /** Time window, in ms since the start or last reset. */
  from?: number;
  until?: number;
  timing: StormTiming;
  /** For non-streaming responses. Default: `timing`. */
  nonStreaming?: StormTiming;
}

/** One fault and when it applies. All given conditions must hold; the first matching fault is used. */
export interface StormFault {
  /** One kind, or `mix`, which picks one from `of` for each call. */
  kind: StormFaultKind | 'mix';
  /** Faults applied to the same response after this one, each as KIND[-ARG]; they share the other settings. */
  also?: string[];
  /**
   * Weights of a `mix`: KIND[-ARG], several joined by `+`, `any` for any kind that ends by itself, or `none` for no
   * fault. Default: `any`. The pick depends only on the seed and the call number.
   */
  of?: Record<string, number>;
  /** Share of calls affected, chosen by seed and call number. Default 1. */
  probability?: number;
  /** Affects only these models. Default: all. */
  models?: string[];
  /** Time window, in ms since the start or last reset. */
  from?: number;
  until?: number;
  /** Which of the calls that meet the other conditions are affected, counted from 1: listed ones, the first N, or every Nth. */
  calls?: number[] | { first?: number; every?: number };
  /** Value of `Retry-After`, sent verbatim. */
  retryAfter?: string | number;
  /** Value of `retry-after-ms`, sent verbatim. */
  retryAfterMs?: string | number;
  /** Overrides the status of the kind. */
  status?: number;
  /** Overrides the failure reason of the kind, in an error response or error event. */
  reason?: FailureReason;
  /** Overrides the error shape of the kind, in an error response or error event. */
  shape?: ErrorShape;
  /** Content type, for `type`. */
  contentType?: string;
  /** Bytes: an offset in the body or a size, depending on the kind. */
  bytes?: number;
  /** Content events before the fault; default about half of the response. */
  afterTokens?: number;
  /** Length of the silence or delay; without it a silence lasts until the caller disconnects. */
  ms?: number;
  /** Finish reason in the dialect's own vocabulary, for `finish-reason` and `blocked`. */
  finish?: string;
  /** Field named by `400-parameter`, default `temperature`; for a tool call, its name. */
  param?: string;
  /** Overrides the message of the kind; for a tool call, its arguments as JSON. */
  message?: string;
}

export interface StormOptions {
  /** Appears in logs and in `system_fingerprint` of responses. Default `storm`. */
  name?: string;
  /** Default 0: any free port. */
  port?: number;
  /** Default 127.0.0.1. */
  host?: string;
  /** Listed by `GET /v1/models`. Any other name is accepted too, unless `strictModels`. */
  models?: string[];
  /** Other models get 404 `model_not_found`, except names that request a fault. Default false. */
  strictModels?: boolean;
  /** If set, any other key gets 401 `invalid_api_key`. */
  apiKeys?: string[];
  /**
   * Storms with the same account can verify each other's opaque values (signatures, encrypted reasoning) for the same
   * key and model. Default: unique, derived from name, seed and port.
   */
  account?: string;
  /** Default 1. */
  seed?: number;
  /** Length of a minute for rate limits. Default 60,000. */
  minuteMs?: number;
  /** Per API key; per key and model in Gemini, Bedrock and Vertex. Default: no limits. */
  limits?: StormLimits;
  timing?: StormTiming;
  phases?: StormPhase[];
  faults?: StormFault[];
  /** The batch APIs of OpenAI and Anthropic. Default: each batch is done at once. */
  batches?: StormBatchOptions;
  /** Number of most recent calls whose headers and body are kept in the log of `stats()`. Default 0. */
  keepBodies?: number;
}
