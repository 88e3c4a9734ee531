/** A visible character: neither white space nor of zero width. */
const VISIBLE = /[^\s\u200B-\u200D\u2060\uFEFF]/;

/** True for an empty text and for white space. */
export function isBlankText(text: string): boolean {
  return !VISIBLE.test(text);
}
