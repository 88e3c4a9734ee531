/** What is judged of an answer, and the words for what it lacks (design 4.6). */

/**
 * Why an answer is not good enough, as it stands in `x-breakwater-quality`:
 * - `empty`: complete, and nothing in it
 * - `truncated`: it ended at its length limit
 * - `refused`: the model would not answer
 * - `repetition`: it says the same again and again
 * - `short`: fewer characters than asked
 * - `mismatch`: a pattern or a check of the operator's own says no
 * - `schema`: it is not the JSON that the request asks for
 */
export const SHORTFALLS = ['empty', 'truncated', 'refused', 'repetition', 'short', 'mismatch', 'schema'] as const;
export type Shortfall = (typeof SHORTFALLS)[number];

/** One choice of a whole answer, as far as it is judged. */
export interface AnswerChoice {
  /** What is said: the content, or the text of a completion. */
  readonly text: string;
  /** The protocol's own field for refusals; empty: none. */
  readonly refusal: string;
  /** Thoughts beside the content. */
  readonly reasoning: string;
  /** The arguments of all tool calls, one after the other. */
  readonly callArguments: string;
  readonly callsTool: boolean;
  /** It holds audio, images or the like: its text alone says little. */
  readonly hasMedia: boolean;
  /** As the provider wrote it; null: none. */
  readonly finishReason: string | null;
}

/** What a check of one's own gets to see. */
export interface CheckedAnswer {
  /** The text of the first choice. */
  readonly text: string;
  readonly choices: readonly AnswerChoice[];
  /** The name that the caller asked for. */
  readonly model: string;
  /** `provider/model` that gave the answer. */
  readonly target: string;
  /** The caller's request, parsed. */
  readonly request: Readonly<Record<string, unknown>>;
  /** Aborted when nobody waits for the check any more. */
  readonly signal: AbortSignal;
}

/** A user's own check: false means that the answer is not good enough. One that throws, or is too slow, decides nothing. */
export type QualityCheck = (answer: CheckedAnswer) => boolean | Promise<boolean>;

/** Another model asked whether an answer is good enough. */
export interface JudgeModel {
  /** A name as a caller would ask for it. */
  readonly model: string;
  /** What makes an answer good, in words for the judge. */
  readonly instruction: string;
}
