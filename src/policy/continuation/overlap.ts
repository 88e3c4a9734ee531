/**
 * Some targets repeat the last words before they continue. The repetition is dropped where it is unmistakable; where the same characters
 * could legitimately occur twice, the text is refused as ambiguous.
 */
import { contextOf, tailOf, wordsOf } from './context.ts';

/** A longer repetition is not a repeated tail, in characters. */
export const OVERLAP_MAX = 400;
/** A shorter one may be a coincidence (`hap|py`, `)|)`). */
const SURE_CHARS = 16;
/** Lines of code and table rows resemble each other. */
const SURE_CHARS_IN_CODE = 48;
const DISTINCT_MIN = 8;
/** Words that are compared where the repetition is not literal. */
const WORDS_MAX = 12;

/** The number of leading characters of `next` that repeat the tail of the delivered text; `doubtful`: ambiguous. */
export function repeatedTail(delivered: string, next: string): number | 'doubtful' {
  const length = longestOverlap(delivered, next);
  if (length === 0) return repeatsWords(delivered, next) || restartsWord(delivered, next) ? 'doubtful' : 0;
  const repeated = next.slice(0, length);
  const sure = contextOf(delivered).inCode ? SURE_CHARS_IN_CODE : SURE_CHARS;
  const isSure =
    length >= sure &&
    new Set(repeated).size >= DISTINCT_MIN &&
    periodOf(repeated) * 2 > length &&
    !delivered.slice(0, delivered.length - length).includes(repeated);
  return isSure ? length : 'doubtful';
}

function longestOverlap(delivered: string, next: string): number {
  for (let length = Math.min(delivered.length, next.length, OVERLAP_MAX); length > 0; length--) {
    if (delivered.endsWith(next.slice(0, length))) return length;
  }
  return 0;
}

/** The length of the shortest prefix whose repetition makes up the text. */
function periodOf(text: string): number {
  const borders = [0];
  for (let at = 1; at < text.length; at++) {
    let border = borders[at - 1]!;
    while (border > 0 && text[at] !== text[border]) border = borders[border - 1]!;
    borders.push(text[at] === text[border] ? border + 1 : 0);
  }
  return text.length - (borders.at(-1) ?? 0);
}

/** The same last words with other capitals, quotation marks or spaces. */
function repeatsWords(delivered: string, next: string): boolean {
  const before = wordsOf(delivered.slice(-200)).slice(-WORDS_MAX);
  const after = wordsOf(next.slice(0, 200)).slice(0, WORDS_MAX);
  for (let count = Math.min(before.length, after.length); count > 0; count--) {
    const isSame = before.slice(-count).every((word, index) => word === after[index]);
    if (isSame) return count > 1 || after[0]!.length >= 4;
  }
  return false;
}

/** The broken word is started again: `har| harbour`. A whole short word before another one with the same prefix does not count. */
function restartsWord(delivered: string, next: string): boolean {
  const fragment = /[\p{L}\p{M}]+$/u.exec(tailOf(delivered))?.[0].toLowerCase();
  const word = /^[^\p{L}\p{N}]+([\p{L}\p{M}]+)/u.exec(next)?.[1]?.toLowerCase();
  if (fragment === undefined || word === undefined || word === fragment || !word.startsWith(fragment)) return false;
  return fragment.length > 3 || !wordsOf(delivered.slice(0, -fragment.length)).includes(fragment);
}
