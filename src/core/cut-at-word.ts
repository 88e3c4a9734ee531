/** How much of the text a cut at a space may cost; without a space in this part, a word is cut. */
const LOST_SHARE_MAX = 0.2;

/** The text in at most `lengthMax` characters (UTF-16). A longer one is cut at a space and ends with `…`. */
export function cutAtWord(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text;
  const start = text.slice(0, lengthMax); // one more than is kept: a space there ends the last word
  const space = start.search(/\s\S*$/);
  const kept = space >= lengthMax * (1 - LOST_SHARE_MAX) ? start.slice(0, space) : start.slice(0, -1);
  return `${kept.replace(/[\uD800-\uDBFF]$/, '').trimEnd()}…`;
}
