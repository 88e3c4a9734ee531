/** Whether a text goes on in the language of another. A detector gives scores for languages; what they prove is decided here. */
import { proseOf, tailOf, weightOf, wordsOf } from './context.ts';

/** From a text to scores by language, the best first; the most likely near 1. */
export type LanguageScores = (text: string) => readonly (readonly [language: string, score: number])[];

/** As much of the text before is looked at, in characters from its end. */
const TOLD_CHARS = 1_500;
/** Letters that a detector needs. */
const TOLD_WEIGHT_MIN = 16;
const WORDLESS_CHARS = 200;
const NEXT_WEIGHT_MIN = 20;
/** A language whose score is this near to the best one is as likely, in a short and in a longer text. */
const NEAR_SHORT = 0.99;
const NEAR_LONG = 0.97;
const LONG_WEIGHT = 50;

/** `none`: there is no prose in it; `unknown`: there is too little, and it could be. */
export function sameLanguage(
  told: string,
  next: string,
  nextInCode: boolean,
  isAll: boolean,
  scores: LanguageScores,
): 'yes' | 'no' | 'none' | 'unknown' {
  const before = proseOf(told).slice(-TOLD_CHARS);
  const after = proseOf(next, nextInCode);
  const weight = weightOf(after);
  // A long text without prose is code, numbers or a table: no language will tell.
  if (weightOf(before) < TOLD_WEIGHT_MIN) return told.length > WORDLESS_CHARS ? 'yes' : 'unknown';
  if (hasOtherScript(before, after)) return 'no';
  if (!/\p{L}/u.test(next)) return 'yes';
  if (weight === 0) return 'none';
  // Where more will come, more is waited for.
  if (weight < (isAll ? NEXT_WEIGHT_MIN : LONG_WEIGHT)) return isAll && areKnown(told, next) ? 'yes' : 'unknown';
  const expected = scores(before)[0]?.[0];
  if (expected === undefined) return 'unknown';
  const found = scores(after);
  const best = found[0]?.[1] ?? 0;
  const own = found.find(([language]) => language === expected)?.[1] ?? 0;
  return own >= best * (weight < LONG_WEIGHT ? NEAR_SHORT : NEAR_LONG) ? 'yes' : 'no';
}

const SCRIPTS = ['Latin', 'Cyrillic', 'Greek', 'Arabic', 'Hebrew', 'Devanagari', 'Hangul', 'Thai', 'Han', 'Kana'] as const;
const SCRIPT_PATTERNS = SCRIPTS.map((script) =>
  script === 'Kana' ? /[\p{sc=Hiragana}\p{sc=Katakana}]/gu : new RegExp(`\\p{sc=${script}}`, 'gu'),
);

/** Most letters are of a script that hardly occurred, or kana come or go between Chinese and Japanese. */
function hasOtherScript(before: string, after: string): boolean {
  const [old, now] = [shares(before), shares(after)];
  return now.some((share, at) => share > 0.5 && old[at]! < 0.05);
}

function shares(text: string): number[] {
  const counts = SCRIPT_PATTERNS.map((pattern) => text.match(pattern)?.length ?? 0);
  const all = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (all === 0 ? 0 : count / all));
}

/** Every word was said before, the one that broke off too. */
function areKnown(told: string, next: string): boolean {
  const fragment = /[\p{L}\p{M}\p{N}]*$/u.exec(tailOf(told))![0];
  // A single letter is a word here and the beginning of one there.
  if (fragment.length === 1 && /^\s/.test(next)) return false;
  const known = new Set(wordsOf(told.slice(0, told.length - fragment.length)));
  return wordsOf(fragment + next).every((word) => known.has(word));
}
