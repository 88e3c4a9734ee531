/**
 * Whether a text that ended at its length limit had fallen into a loop. Only its end is looked at, because a loop lasts until the
 * limit ends it; everything here is O(n) in the part that is looked at.
 *
 * Two measures, because loops come in two forms:
 *
 * - **A period.** The longest ending that repeats itself exactly is found by the prefix function of the reversed text (Knuth, Morris,
 *   Pratt). It is a loop if it holds at least 4 periods and 240 bytes. Four, because verses, table rows and closing tags come in
 *   threes; 240 bytes, because rules (`-----`), indents and runs of zeros in honest text are shorter, and a loop of a few tokens
 *   that is shorter has not harmed the answer much. Bytes, not characters: a CJK character says as much as a short word.
 * - **Few different pieces.** A loop with small changes (a counter, two sentences in turn, white space) has no exact period. Of all pieces
 *   of 16 characters in the last 3,000, honest text has most but once: prose, code, tables and lists of many languages keep above 0.35
 *   (see the test), loops fall below 0.1. The threshold of 0.12 keeps to the side of the loops: a good answer thrown away costs more
 *   than a poor one passed on.
 *
 * Runs of blanks count as one, so that a loop is found whatever its line ends, but an answer that ends in nothing but blanks (models in JSON mode
 * do that) is a loop of its own.
 */

/** As much of the end is looked at, in characters. */
const TAIL_CHARS = 8_000;
const PERIODS_MIN = 4;
const LOOP_BYTES_MIN = 240;
const PIECE_CHARS = 16;
/** Shorter texts say too little about how varied they are. */
const VARIED_CHARS_MIN = 1_000;
const VARIED_CHARS_MAX = 3_000;
const VARIETY_MIN = 0.12;

/** How many characters at the end of a text are a loop; 0: none is. */
export function loopLength(text: string): number {
  const tail = text.slice(-TAIL_CHARS);
  const said = tail.trimEnd();
  if (tail.length - said.length >= LOOP_BYTES_MIN) return tail.length - said.length;
  const even = said.replace(/[^\S ]/g, ' ').replace(/ {2,}/g, ' ');
  const periodic = periodicEnd(even);
  if (periodic > 0) return periodic;
  const piece = even.slice(-VARIED_CHARS_MAX);
  return piece.length >= VARIED_CHARS_MIN && variety(piece) < VARIETY_MIN ? piece.length : 0;
}

/** The length of the longest ending that is one piece at least four times over. */
function periodicEnd(text: string): number {
  const n = text.length;
  // Of the reversed text: the longest border of each of its beginnings.
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

/** About as many as in UTF-8. */
function bytesOf(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) bytes += text.charCodeAt(i) >= 0x0800 ? 3 : 1;
  return bytes;
}

/** The share of different pieces among all. */
function variety(text: string): number {
  const count = text.length - PIECE_CHARS + 1;
  const pieces = new Set<string>();
  for (let i = 0; i < count; i++) pieces.add(text.slice(i, i + PIECE_CHARS));
  return pieces.size / count;
}
