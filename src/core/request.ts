/** The words for one request, as every room uses them. */

export const PROTOCOLS = ['openai', 'anthropic', 'gemini'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export const PRIORITIES = ['high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** What the scheduler orders by: the caller-facing priorities, and jobs below them. */
export const SCHEDULING_CLASSES = ['high', 'normal', 'low', 'job'] as const;
export type SchedulingClass = (typeof SCHEDULING_CLASSES)[number];

/** What is asked of a provider. `bytes` is passed through unread (audio, images, moderations, rerank, listed paths). */
export const OPERATIONS = ['chat', 'completions', 'embeddings', 'bytes'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** What wire reads from a request body; everything else in it stays as bytes. */
export interface RequestFacts {
  readonly operation: Operation;
  /** The name that the caller asked for. */
  readonly model: string;
  readonly stream: boolean;
  /** True if the caller of a stream asked for the usage chunk itself. */
  readonly wantsUsage: boolean;
  /** How many choices (or vectors) were asked for, over all prompts; at least 1. */
  readonly choices: number;
  /** The caller's bound on output tokens over all choices, or null if there is none. */
  readonly outputBound: number | null;
  /** Estimated input tokens: text as bytes / 4, media at constants (design 4.1). Not corrected per target. */
  readonly inputTokens: number;
  /** True if the request itself asks the model to think (a reasoning effort other than none). */
  readonly usesReasoning: boolean;
  readonly hasTools: boolean;
  /** True if the request says in which form it wants its answer (`response_format`): perhaps JSON, perhaps by a schema. */
  readonly hasResponseFormat: boolean;
  /** `prompt_cache_key`, if any: what affinity hangs on where no header names the session. */
  readonly cacheKey: string | null;
  /** `service_tier` as asked, or null. */
  readonly serviceTier: string | null;
}
