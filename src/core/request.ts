/** The types that describe a request. */

export const PROTOCOLS = ['openai', 'anthropic', 'gemini'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export const PRIORITIES = ['high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** The priorities of the scheduler: those of callers, and jobs below them. */
export const SCHEDULING_CLASSES = ['high', 'normal', 'low', 'job'] as const;
export type SchedulingClass = (typeof SCHEDULING_CLASSES)[number];

/** The kind of request. `bytes` is passed through unread (audio, images, moderations, rerank, listed paths). */
export const OPERATIONS = ['chat', 'completions', 'embeddings', 'bytes'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** The facts that `wire` reads from a request body; the rest stays as bytes. */
export interface RequestFacts {
  readonly operation: Operation;
  /** The requested model name. */
  readonly model: string;
  readonly stream: boolean;
  /** True if the caller requested usage in the stream. */
  readonly wantsUsage: boolean;
  /** The number of requested choices (or vectors), over all prompts; at least 1. */
  readonly choices: number;
  /** The caller's limit of output tokens over all choices; null: none. */
  readonly outputBound: number | null;
  /** Estimated input tokens: text as bytes / 4, media at constants. Not corrected per target. */
  readonly inputTokens: number;
  /** True if the request enables reasoning (an effort other than none). */
  readonly usesReasoning: boolean;
  readonly hasTools: boolean;
  /** True if the request has a `response_format`: perhaps JSON, perhaps by a schema. */
  readonly hasResponseFormat: boolean;
  /** `prompt_cache_key`, or null: the key of affinity where no header names the session. */
  readonly cacheKey: string | null;
  /** The requested `service_tier`, or null. */
  readonly serviceTier: string | null;
}
