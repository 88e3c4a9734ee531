/** The input and the results of quality checks. */

/**
 * The quality check that a response failed, as in `x-breakwater-quality`:
 * - `empty`: complete without content
 * - `truncated`: it ended at a length limit
 * - `refused`: the model refused
 * - `repetition`: the text repeats itself
 * - `short`: fewer characters than required
 * - `mismatch`: a pattern or a custom check rejects it
 * - `schema`: it is not JSON of the requested form
 */
export const FAILED_QUALITY_CHECKS = ['empty', 'truncated', 'refused', 'repetition', 'short', 'mismatch', 'schema'] as const;
export type FailedQualityCheck = (typeof FAILED_QUALITY_CHECKS)[number];

/** One choice of a whole response, as quality checks see it. */
export interface AnswerChoice {
  /** The content, or the text of a completion. */
  readonly text: string;
  /** The protocol's own field for refusals; empty: none. */
  readonly refusal: string;
  /** Reasoning, apart from the content. */
  readonly reasoning: string;
  /** The arguments of all tool calls, concatenated. */
  readonly callArguments: string;
  readonly callsTool: boolean;
  /** It contains audio, images or other media, so that its text is not all of it. */
  readonly hasMedia: boolean;
  /** As the provider sent it; null: none. */
  readonly finishReason: string | null;
}

/** The input of a custom check. */
export interface CheckedAnswer {
  /** The text of the first choice. */
  readonly text: string;
  readonly choices: readonly AnswerChoice[];
  /** The model name in the request. */
  readonly model: string;
  /** The `provider/model` of the response. */
  readonly target: string;
  /** The caller's request, parsed. */
  readonly request: Readonly<Record<string, unknown>>;
  /** Aborted when the result is no longer needed. */
  readonly signal: AbortSignal;
}

/** A custom check: false rejects the response. A check that throws or times out has no effect. */
export type QualityCheck = (answer: CheckedAnswer) => boolean | Promise<boolean>;

/** A model that judges responses. */
export interface JudgeModel {
  /** A model name as in a request. */
  readonly model: string;
  /** The criterion, in words for the judge. */
  readonly instruction: string;
}
