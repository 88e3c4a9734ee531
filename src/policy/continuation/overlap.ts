/**
 * Some targets say the last words once more before they go on. What is repeated is dropped if there is no doubt about it;
 * where the same characters could stand there twice for a good reason, nobody can tell, and the text is refused.
 */
import { contextOf, tailOf, wordsOf } from './context.ts';

/** A longer repetition is no repeated tail, in characters. */
export const OVERLAP_MAX = 400;
/** A shorter one may be chance (`hap|py`, `)|)`). */
const SURE_CHARS = 16;
/** Lines of code and rows of tables resemble each other. */
const SURE_CHARS_IN_CODE = 48;
const DISTINCT_MIN = 8;
/** Words compared where the repetition is not to the letter. */
const WORDS_MAX = 12;

/** How many characters of `next` are the tail of `told` once more; `doubtful`: it can't be told. */
export function repeatedTail(told: string, next: string): number | 'doubtful' {
  const length = longestOverlap(told, next);
  if (length === 0) return repeatsWords(told, next) || restartsWord(told, next) ? 'doubtful' : 0;
  const repeated = next.slice(0, length);
  const sure = contextOf(told).inCode ? SURE_CHARS_IN_CODE : SURE_CHARS;
  const isSure =
    length >= sure &&
    new Set(repeated).size >= DISTINCT_MIN &&
    periodOf(repeated) * 2 > length &&
    !told.slice(0, told.length - length).includes(repeated);
  return isSure ? length : 'doubtful';
}

function longestOverlap(told: string, next: string): number {
  for (let length = Math.min(told.length, next.length, OVERLAP_MAX); length > 0; length--) {
    if (told.endsWith(next.slice(0, length))) return length;
  }
  return 0;
}

/** The length of the shortest beginning that, repeated, makes the text. */
function periodOf(text: string): number {
  const borders = [0];
  for (let at = 1; at < text.length; at++) {
    let border = borders[at - 1]!;
    while (border > 0 && text[at] !== text[border]) border = borders[border - 1]!;
    borders.push(text[at] === text[border] ? border + 1 : 0);
  }
  return text.length - (borders.at(-1) ?? 0);
}

/** The same last words, in other letters: capitals, quotation marks, another space before them. */
function repeatsWords(told: string, next: string): boolean {
  const before = wordsOf(told.slice(-200)).slice(-WORDS_MAX);
  const after = wordsOf(next.slice(0, 200)).slice(0, WORDS_MAX);
  for (let count = Math.min(before.length, after.length); count > 0; count--) {
    const isSame = before.slice(-count).every((word, index) => word === after[index]);
    if (isSame) return count > 1 || after[0]!.length >= 4;
  }
  return false;
}

/** The broken word begun anew: `har| harbour`. A whole short word before another that begins alike is no such thing. */
function restartsWord(told: string, next: string): boolean {
  const fragment = /[\p{L}\p{M}]+$/u.exec(tailOf(told))?.[0].toLowerCase();
  const word = /^[^\p{L}\p{N}]+([\p{L}\p{M}]+)/u.exec(next)?.[1]?.toLowerCase();
  if (fragment === undefined || word === undefined || word === fragment || !word.startsWith(fragment)) return false;
  return fragment.length > 3 || !wordsOf(told.slice(0, -fragment.length)).includes(fragment);
}
