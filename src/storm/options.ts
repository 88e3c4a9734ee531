/** Everything that can be set on a Storm, with defaults and units. Times are milliseconds. */
import type { StormBatchOptions } from './batches/options.ts';
import type { ErrorShape, FailureReason } from './failure-words.ts';
import type { StormFaultKind } from './fault-names.ts';

/** A fixed number, an even spread, or a log-normal one given by its median and 99th percentile. */
export type Spread = number | { min: number; max: number } | { p50: number; p99: number };

export interface StormLimits {
  requestsPerMinute?: number;
  tokensPerMinute?: number;
  /** Input alone, as Anthropic limits it. */
  inputTokensPerMinute?: number;
  /** Output as it is generated; what is asked for does not count. A call that took more than was left leaves a debt. */
  outputTokensPerMinute?: number;
  /** A day is 1,440 of Storm's minutes. */
  requestsPerDay?: number;
  /** Calls that may run at once. */
  concurrency?: number;
  /**
   * `bucket` (default): continuous refill, capacity = limit × burst. `sliding`: at most the limit in any minute.
   * `perSecond`: a sixtieth of the limit in any sixtieth of a minute.
   */
  enforce?: 'bucket' | 'sliding' | 'perSecond';
  /** Share of the minute's limit that may be spent at once; for `bucket` only. Default 1. */
  burst?: number;
  /** Calls refused for a limit take from the request limit too. Default false. */
  countFailures?: boolean;
  /** Count the caller's output limit at admission, as OpenAI does. Default: true, but for Gemini, which counts input only. */
  countOutput?: boolean;
  /** Send rate-limit headers, where the dialect has any. Default true. */
  advertise?: boolean;
  /**
   * What a 429 of a limit says about waiting: `both` (default) retry-after and retry-after-ms, `seconds`, or `none`. Anthropic
   * sends seconds only, Gemini its RetryInfo; Bedrock and Vertex say nothing.
   */
  hints?: 'both' | 'seconds' | 'none';
}

export interface StormTiming {
  /** Until the headers of a stream. Failures come at once. Default 0. */
  headersMs?: Spread;
  /** From the headers of a stream to its first content. Default 0. */
  firstTokenMs?: Spread;
  /** Pace of content. Default: as fast as the socket takes it. */
  tokensPerSecond?: Spread;
  /** Length of an answer in tokens (one word each), unless the request bounds it lower. Default 20 to 60. */
  tokens?: number | { min: number; max: number };
  /** Stream events in one write. Default: 1 where `tokensPerSecond` is set, else all of them. */
  eventsPerPacket?: number;
  /** Until the headers of a plain answer. Default: the time that its stream would have taken. */
  plainMs?: Spread;
  /** Each wait varies by up to this share of itself, both ways. Default 0. */
  jitter?: number;
}

/** One fault and when it strikes. All conditions given must hold; the first fault that strikes wins. */
export interface StormFault {
  /** One kind, or `mix`: each call draws one from `of`. */
  kind: StormFaultKind | 'mix';
  /** Faults that act on the same answer after this one, each as KIND[-ARG]; all share the other settings. */
  also?: string[];
  /**
   * What `mix` draws from, with weights: KIND[-ARG], several with `+` between them, `any` for any kind that ends by itself, or
   * `none` for no fault. Default: `any`. The draw depends on the seed and the call's number alone.
   */
  of?: Record<string, number>;
  /** Share of calls hit, drawn from the seed and the call's number. Default 1. */
  probability?: number;
  /** Only these models. Default all. */
  models?: string[];
  /** Window, in ms since the start or the last reset. */
  from?: number;
  until?: number;
  /** Which of the calls that the other conditions let through, counted from 1: these, the first so many, or every so many. */
  calls?: number[] | { first?: number; every?: number };
  /** Value of `Retry-After`, as it is. */
  retryAfter?: string | number;
  /** Value of `retry-after-ms`, as it is. */
  retryAfterMs?: string | number;
  /** Status instead of the kind's own. */
  status?: number;
  /** Why a refusal or an error event says that it fails, instead of the kind's own reason. */
  reason?: FailureReason;
  /** How a refusal or an error event is written down, instead of the kind's own shape. */
  shape?: ErrorShape;
  /** Content type for `type`. */
  contentType?: string;
  /** A number of bytes: an offset in the body, or a size; what it counts is the kind's own. */
  bytes?: number;
  /** Content events before the fault; default about half of the answer. */
  afterTokens?: number;
  /** Length of the kind's silence or delay; without it a silence lasts until the caller leaves. */
  ms?: number;
  /** Why an answer ends, in the dialect's own word, for `finish-reason` and `blocked`. */
  finish?: string;
  /** Field named by `400-parameter`, default `temperature`; of a tool call its name. */
  param?: string;
  /** Message instead of the kind's own; of a tool call its arguments as JSON. */
  message?: string;
}

export interface StormOptions {
  /** Stands in logs and in answers' `system_fingerprint`. Default `storm`. */
  name?: string;
  /** Default 0: any free port. */
  port?: number;
  /** Default 127.0.0.1. */
  host?: string;
  /** Listed by `GET /v1/models`. Any other name is answered too, unless `strictModels`. */
  models?: string[];
  /** Other models get 404 `model_not_found` (names that ask for a fault excepted). Default false. */
  strictModels?: boolean;
  /** If given, any other key gets 401 `invalid_api_key`. */
  apiKeys?: string[];
  /**
   * Storms with the same account can read each other's opaque pieces (signatures, encrypted reasoning) for the same key and
   * model. Default: one of its own, from its name, seed and port.
   */
  account?: string;
  /** Default 1. */
  seed?: number;
  /** Length of Storm's minute, for limits only. Default 60,000. */
  minuteMs?: number;
  /** Per API key; per key and model in Gemini, Bedrock and Vertex. Default none. */
  limits?: StormLimits;
  timing?: StormTiming;
  faults?: StormFault[];
  /** The batch APIs of OpenAI and Anthropic. Default: each batch is done at once. */
  batches?: StormBatchOptions;
  /** Keep headers and body of this many last calls in the log of `stats()`. Default 0. */
  keepBodies?: number;
}
