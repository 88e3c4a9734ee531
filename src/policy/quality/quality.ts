/**
 * The checks that a response must pass before it is sent on: pure rules on a complete response, compiled once per target of a
 * route.
 */
import { isAtLimit, isWithheld } from '../../core/finish-reason.ts';
import { isBlankText } from '../../core/blank-text.ts';
import type { AnswerChoice, FailedQualityCheck } from '../../core/quality.ts';
import { isRefusal, mayBeRefusal } from './refusal.ts';
import { loopLength } from './repetition.ts';

/** The configured checks. Lengths in characters, patterns as regular expressions. */
export interface QualitySettings {
  readonly rejectEmpty: boolean;
  readonly rejectTruncated: boolean;
  readonly rejectRefusal: boolean;
  readonly rejectRepetition: boolean;
  readonly minLength: number;
  readonly mustMatch: readonly string[];
  readonly mustNotMatch: readonly string[];
}

/** Longer texts are not matched against patterns, because some expressions take too long; in characters. */
export const PATTERN_TEXT_MAX = 200_000;

/** At most this much of a stream is held back to check its minimum length, in characters. */
export const OPENING_MAX = 4_000;

export class QualityRules {
  readonly #settings: QualitySettings;
  readonly #mustMatch: readonly RegExp[];
  readonly #mustNotMatch: readonly RegExp[];
  /** These rules need the content of every response. */
  readonly readsAll: boolean;
  /** These rules need the content of responses that ended at their length limit. */
  readonly readsTruncated: boolean;
  /** These rules need the content of responses some of whose choices may contain nothing but reasoning. */
  readonly readsReasoning: boolean;
  readonly hasPatterns: boolean;
  /** These rules need more than the opening of a stream. */
  readonly readsBeyondOpenings: boolean;

  /** `flags`: of the patterns. */
  constructor(settings: QualitySettings, flags: string) {
    this.#settings = settings;
    this.#mustMatch = settings.mustMatch.map((source) => new RegExp(source, flags));
    this.#mustNotMatch = settings.mustNotMatch.map((source) => new RegExp(source, flags));
    this.hasPatterns = settings.mustMatch.length + settings.mustNotMatch.length > 0;
    this.readsBeyondOpenings = this.hasPatterns || settings.minLength > OPENING_MAX;
    this.readsAll = settings.rejectRefusal || settings.minLength > 0 || this.hasPatterns;
    this.readsTruncated = settings.rejectTruncated || settings.rejectRepetition;
    this.readsReasoning = settings.rejectEmpty;
  }

  /** True if an empty response can pass. */
  get acceptsEmpty(): boolean {
    const { rejectEmpty, minLength } = this.#settings;
    return !rejectEmpty && minLength === 0 && this.#mustMatch.length === 0;
  }

  /** The most serious failed check of any choice; null: all passed. */
  judge(choices: readonly AnswerChoice[]): FailedQualityCheck | null {
    for (const [failedCheck, isSo] of this.#faults) if (choices.some(isSo)) return failedCheck;
    return null;
  }

  /**
   * For a stream that has just started, with the text of its first choice: true if the check for refusals or for length is still undecided,
   * so that the stream is held back.
   */
  isUndecided(text: string): boolean {
    const { rejectRefusal, minLength } = this.#settings;
    return !isLongEnough(text, Math.min(minLength, OPENING_MAX)) || (rejectRefusal && mayBeRefusal(text));
  }

  /** True if `isUndecided` can ever be true. */
  get checksOpenings(): boolean {
    return this.#settings.rejectRefusal || this.#settings.minLength > 0;
  }

  readonly #faults: readonly (readonly [FailedQualityCheck, (choice: AnswerChoice) => boolean])[] = [
    ['empty', (choice) => this.#settings.rejectEmpty && isEmpty(choice)],
    ['refused', (choice) => this.#settings.rejectRefusal && refuses(choice)],
    ['repetition', (choice) => this.#settings.rejectRepetition && isAtLimit(choice.finishReason) && loopIn(choice) > 0],
    ['truncated', (choice) => this.#settings.rejectTruncated && isAtLimit(choice.finishReason)],
    ['short', (choice) => isText(choice) && !isLongEnough(choice.text, this.#settings.minLength)],
    ['mismatch', (choice) => this.hasPatterns && isText(choice) && this.#mismatches(choice.text)],
  ];

  #mismatches(text: string): boolean {
    if (text.length > PATTERN_TEXT_MAX) return false;
    return this.#mustMatch.some((pattern) => !pattern.test(text)) || this.#mustNotMatch.some((pattern) => pattern.test(text));
  }
}

/**
 * The amount of useful content of a response, in characters, without the loop in which it ended: the basis for choosing among responses
 * that all failed a check. A refusal counts as 1, more than an empty response and less than any other.
 */
export function usableLength(choices: readonly AnswerChoice[], failedCheck: FailedQualityCheck): number {
  let length = 0;
  for (const choice of choices)
    length += choice.text.length + choice.callArguments.length - (failedCheck === 'repetition' ? loopIn(choice) : 0);
  if (failedCheck === 'refused') return Math.min(1, length + choices.reduce((sum, { refusal }) => sum + refusal.length, 0));
  return Math.max(0, length);
}

function refuses({ refusal, finishReason, callsTool, text }: AnswerChoice): boolean {
  if (refusal !== '' || isWithheld(finishReason)) return true;
  return !callsTool && isRefusal(text);
}

/**
 * Each choice must contain more than reasoning or white space. Choices that ended at a length limit or a filter are covered by other
 * checks.
 */
function isEmpty({ text, refusal, callsTool, hasMedia, finishReason }: AnswerChoice): boolean {
  if (!isBlankText(text) || refusal !== '' || callsTool || hasMedia) return false;
  return !isAtLimit(finishReason) && !isWithheld(finishReason);
}

/** Checks what was generated last: arguments, else text, else reasoning. */
function loopIn({ text, callArguments, reasoning }: AnswerChoice): number {
  return loopLength(callArguments !== '' ? callArguments : text !== '' ? text : reasoning);
}

/** A tool call, media or a refusal has no text that could be short or mismatched. */
function isText({ callsTool, hasMedia, refusal }: AnswerChoice): boolean {
  return !callsTool && !hasMedia && refusal === '';
}

/** In code points, without surrounding white space. */
function isLongEnough(text: string, min: number): boolean {
  if (min === 0) return true;
  const said = text.trim();
  if (said.length < min) return false;
  return said.length >= 2 * min || Array.from(said).length >= min;
}
