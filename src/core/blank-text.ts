/** A character that shows: neither white space nor of zero width. */
const VISIBLE = /[^\s\u200B-\u200D\u2060\uFEFF]/;

/** True for white space alone, and for nothing. */
export function isBlankText(text: string): boolean {
  return !VISIBLE.test(text);
}
