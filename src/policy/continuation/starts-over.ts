/** Whether a text repeats, in the same or similar words, what was delivered before. */
import { ADDRESS, isMostlyUnspaced, wordsOf } from './context.ts';

/** So many identical characters are no coincidence; in code more are needed. */
const EXACT_CHARS = 40;
const EXACT_CHARS_IN_CODE = 100;
/** An address is not a sentence. */
const WORDS_MIN = 4;
/** Consecutive words (or characters, in scripts without spaces) that form one shingle. */
const WORDS_IN_SHINGLE = 3;
const CHARS_IN_SHINGLE = 4;
/** The fewest shingles that count. */
const SHINGLES_MIN = 12;
/** From this share of known shingles on, the text is a repetition. */
const KNOWN_MAX = 0.2;
const KNOWN_MAX_IN_CODE = 0.6;
/** The beginning of the new text is also checked by itself. */
const HEAD_CHARS = 100;
const KNOWN_MAX_AT_HEAD = 0.3;
/** The same for longer words that occur close together in the preceding text. */
const LONG_WORD = 4;
const LONG_WORDS_MIN = 8;
const LONG_KNOWN_MAX = 0.5;

export function startsOver(delivered: string, next: string, inCode: boolean): boolean {
  if (repeatsExactly(delivered, next.trimStart(), inCode ? EXACT_CHARS_IN_CODE : EXACT_CHARS)) return true;
  const head = next.trimStart().replaceAll(ADDRESS, ' ');
  const known = shinglesOf(delivered.replaceAll(ADDRESS, ' '), isMostlyUnspaced(head));
  const max = inCode ? KNOWN_MAX_IN_CODE : KNOWN_MAX;
  if (knownShare(known, head) > max || knownShare(known, head.slice(0, HEAD_CHARS)) > Math.max(max, KNOWN_MAX_AT_HEAD)) return true;
  return !inCode && isRetold(delivered, head);
}

function repeatsExactly(delivered: string, head: string, count: number): boolean {
  if (head.length < count) return false;
  const begin = head.slice(0, count);
  const says = isMostlyUnspaced(begin) || wordsOf(begin.replaceAll(/\S*[/@<>=]\S*/g, ' ')).length >= WORDS_MIN;
  return says && delivered.includes(begin);
}

function knownShare(known: { readonly unspaced: boolean; readonly shingles: ReadonlySet<string> }, next: string): number {
  const after = shinglesOf(next, known.unspaced).shingles;
  if (after.size < SHINGLES_MIN) return 0;
  let count = 0;
  for (const shingle of after) if (known.shingles.has(shingle)) count++;
  return count / after.size;
}

function shinglesOf(text: string, unspaced: boolean) {
  return { unspaced, shingles: new Set(unspaced ? charShingles(text) : wordShingles(text)) };
}

function wordShingles(text: string): string[] {
  const words = wordsOf(text);
  return words.slice(WORDS_IN_SHINGLE - 1).map((_, index) => words.slice(index, index + WORDS_IN_SHINGLE).join(' '));
}

function charShingles(text: string): string[] {
  const chars = Array.from(wordsOf(text).join(''));
  return chars.slice(CHARS_IN_SHINGLE - 1).map((_, index) => chars.slice(index, index + CHARS_IN_SHINGLE).join(''));
}

/** Most of the longer words occur close together in the preceding text: a paraphrase. */
function isRetold(delivered: string, next: string): boolean {
  const after = new Set(longWords(next));
  if (after.size < LONG_WORDS_MIN) return false;
  const before = longWords(delivered);
  const span = Math.ceil(after.size * 1.5);
  const counts = new Map<string, number>();
  let known = 0;
  for (const [at, word] of before.entries()) {
    if (after.has(word)) {
      const count = counts.get(word) ?? 0;
      counts.set(word, count + 1);
      if (count === 0) known++;
    }
    const old = before[at - span];
    if (old !== undefined && after.has(old)) {
      const count = counts.get(old)! - 1;
      counts.set(old, count);
      if (count === 0) known--;
    }
    if (known / after.size >= LONG_KNOWN_MAX) return true;
  }
  return false;
}

function longWords(text: string): string[] {
  return wordsOf(text).filter((word) => word.length >= LONG_WORD);
}
