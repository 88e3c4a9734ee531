/**
 * Whether a text that ended at its length limit had fallen into a loop. Only its end is examined, because a loop continues until the limit;
 * all of this takes time linear in the examined part.
 *
 * There are two measures, for two kinds of loops:
 *
 * - **A period.** The longest suffix that repeats exactly is found with the prefix function of the reversed text (Knuth, Morris, Pratt). It
 *   is a loop if it contains at least 4 periods and 240 bytes. Four, because verses, table rows and closing tags often occur three times; 240
 *   bytes, because rules (`-----`), indentation and zeros in normal text are shorter, and a shorter loop of a few tokens does little harm.
 *   Bytes, not characters, because a CJK character carries as much as a short word.
 * - **Few distinct fragments.** A loop with small changes (a counter, two alternating sentences, white space) has no exact period. Most
 *   fragments of 16 characters in the last 3,000 of a normal text occur only once: prose, code, tables and lists in many languages stay above
 *   a share of 0.35 (see the test), loops fall below 0.1. The threshold of 0.12 is close to the loops, because rejecting a good response
 *   costs more than accepting a bad one.
 *
 * Runs of white space count as one character, so that loops are found regardless of line endings. A text that ends in nothing but white
 * space, as models in JSON mode sometimes produce, is a loop of its own kind.
 */

/** The examined part, in characters from the end. */
const TAIL_CHARS = 8_000;
const PERIODS_MIN = 4;
const LOOP_BYTES_MIN = 240;
const FRAGMENT_CHARS = 16;
/** Shorter texts are too short to measure their variety. */
const VARIED_CHARS_MIN = 1_000;
const VARIED_CHARS_MAX = 3_000;
const VARIETY_MIN = 0.12;

/** The length of the loop at the end of a text, in characters; 0: none. */
export function loopLength(text: string): number {
  const tail = text.slice(-TAIL_CHARS);
  const trimmed = tail.trimEnd();
  if (tail.length - trimmed.length >= LOOP_BYTES_MIN) return tail.length - trimmed.length;
  const normalised = trimmed.replace(/[^\S ]/g, ' ').replace(/ {2,}/g, ' ');
  const periodic = periodicEnd(normalised);
  if (periodic > 0) return periodic;
  const fragment = normalised.slice(-VARIED_CHARS_MAX);
  return fragment.length >= VARIED_CHARS_MIN && variety(fragment) < VARIETY_MIN ? fragment.length : 0;
}

/** The length of the longest suffix that consists of one fragment at least four times. */
function periodicEnd(text: string): number {
  const n = text.length;
  // For each prefix of the reversed text, its longest border.
  const border = new Uint32Array(n);
  const at = (i: number): number => text.charCodeAt(n - 1 - i);
  let longest = 0;
  for (let i = 1, k = 0; i < n; i++) {
    while (k > 0 && at(i) !== at(k)) k = border[k - 1]!;
    if (at(i) === at(k)) k++;
    border[i] = k;
    if (i + 1 >= (i + 1 - k) * PERIODS_MIN) longest = i + 1;
  }
  return longest > 0 && bytesOf(text.slice(n - longest)) >= LOOP_BYTES_MIN ? longest : 0;
}

/** Approximately the length in UTF-8. */
function bytesOf(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) bytes += text.charCodeAt(i) >= 0x0800 ? 3 : 1;
  return bytes;
}

/** The share of distinct fragments among all. */
function variety(text: string): number {
  const count = text.length - FRAGMENT_CHARS + 1;
  const fragments = new Set<string>();
  for (let i = 0; i < count; i++) fragments.add(text.slice(i, i + FRAGMENT_CHARS));
  return fragments.size / count;
}
