/** What an answer must be before it is sent on (design 4.6): pure rules on a whole answer, made once for each target of a route. */
import { isAtLimit, isWithheld } from '../../core/finish-reason.ts';
import { isBlankText } from '../../core/blank-text.ts';
import type { AnswerChoice, Shortfall } from '../../core/quality.ts';
import { isRefusal, mayBeRefusal } from './refusal.ts';
import { loopLength } from './repetition.ts';

/** The settings that these rules follow. Lengths in characters, patterns as regular expressions. */
export interface QualitySettings {
  readonly rejectEmpty: boolean;
  readonly rejectTruncated: boolean;
  readonly rejectRefusal: boolean;
  readonly rejectRepetition: boolean;
  readonly minLength: number;
  readonly mustMatch: readonly string[];
  readonly mustNotMatch: readonly string[];
}

/** Longer texts are not searched with patterns: not every expression is done in reasonable time. In characters. */
export const PATTERN_TEXT_MAX = 200_000;

/** A stream is not held back for longer than this to see whether its text is long enough, in characters. */
export const OPENING_MAX = 4_000;

export class QualityRules {
  readonly #settings: QualitySettings;
  readonly #mustMatch: readonly RegExp[];
  readonly #mustNotMatch: readonly RegExp[];
  /** An answer has to be read for these rules, however it ended. */
  readonly readsAll: boolean;
  /** An answer has to be read if it ended at its limit. */
  readonly readsCutOff: boolean;
  /** An answer has to be read if there may be nothing but thoughts in one of its choices. */
  readonly readsReasoning: boolean;
  readonly hasPatterns: boolean;
  /** The opening of a stream does not tell all that these rules ask. */
  readonly readsBeyondOpenings: boolean;

  /** `flags` of the patterns. */
  constructor(settings: QualitySettings, flags: string) {
    this.#settings = settings;
    this.#mustMatch = settings.mustMatch.map((source) => new RegExp(source, flags));
    this.#mustNotMatch = settings.mustNotMatch.map((source) => new RegExp(source, flags));
    this.hasPatterns = settings.mustMatch.length + settings.mustNotMatch.length > 0;
    this.readsBeyondOpenings = this.hasPatterns || settings.minLength > OPENING_MAX;
    this.readsAll = settings.rejectRefusal || settings.minLength > 0 || this.hasPatterns;
    this.readsCutOff = settings.rejectTruncated || settings.rejectRepetition;
    this.readsReasoning = settings.rejectEmpty;
  }

  /** True if nothing is asked that an empty answer can't be. */
  get acceptsEmpty(): boolean {
    const { rejectEmpty, minLength } = this.#settings;
    return !rejectEmpty && minLength === 0 && this.#mustMatch.length === 0;
  }

  /** The first fault that any of the choices has, the gravest first; null: good enough. */
  judge(choices: readonly AnswerChoice[]): Shortfall | null {
    for (const [shortfall, isSo] of this.#faults) if (choices.some(isSo)) return shortfall;
    return null;
  }

  /**
   * Of a stream that has only begun, with `text` of its first choice: true if the rest decides whether a refusal or too short a text
   * is on its way, so that it is held back a while.
   */
  isUndecided(text: string): boolean {
    const { rejectRefusal, minLength } = this.#settings;
    return !isLongEnough(text, Math.min(minLength, OPENING_MAX)) || (rejectRefusal && mayBeRefusal(text));
  }

  /** True if `isUndecided` can ever be. */
  get checksOpenings(): boolean {
    return this.#settings.rejectRefusal || this.#settings.minLength > 0;
  }

  readonly #faults: readonly (readonly [Shortfall, (choice: AnswerChoice) => boolean])[] = [
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
 * How much of an answer is real content, in characters, to find the best of several poor ones: without the loop that it ended in. A refusal
 * counts as 1: it says more than nothing, and less than any answer.
 */
export function usableLength(choices: readonly AnswerChoice[], shortfall: Shortfall): number {
  let length = 0;
  for (const choice of choices)
    length += choice.text.length + choice.callArguments.length - (shortfall === 'repetition' ? loopIn(choice) : 0);
  if (shortfall === 'refused') return Math.min(1, length + choices.reduce((sum, { refusal }) => sum + refusal.length, 0));
  return Math.max(0, length);
}

function refuses({ refusal, finishReason, callsTool, text }: AnswerChoice): boolean {
  if (refusal !== '' || isWithheld(finishReason)) return true;
  return !callsTool && isRefusal(text);
}

/** Reasoning or white space alone is no answer, and of several choices each is to be one. What the length limit or a filter ended is judged as such. */
function isEmpty({ text, refusal, callsTool, hasMedia, finishReason }: AnswerChoice): boolean {
  if (!isBlankText(text) || refusal !== '' || callsTool || hasMedia) return false;
  return !isAtLimit(finishReason) && !isWithheld(finishReason);
}

/** In what it says last: arguments, else text, else thoughts. */
function loopIn({ text, callArguments, reasoning }: AnswerChoice): number {
  return loopLength(callArguments !== '' ? callArguments : text !== '' ? text : reasoning);
}

/** A tool call, a picture or a refusal has no text that could be short or wrong. */
function isText({ callsTool, hasMedia, refusal }: AnswerChoice): boolean {
  return !callsTool && !hasMedia && refusal === '';
}

/** In characters as people count them, blanks around it left out. */
function isLongEnough(text: string, min: number): boolean {
  if (min === 0) return true;
  const said = text.trim();
  if (said.length < min) return false;
  return said.length >= 2 * min || Array.from(said).length >= min;
}
