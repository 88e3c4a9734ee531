/** The context in which a text breaks off: prose, code or JSON; within a sentence or at its end. */

export interface Context {
  /** Inside a fenced code block, or in text with as much punctuation as code. */
  readonly inCode: boolean;
  /** The unfinished last line, without leading white space. */
  readonly lastLine: string;
  /** A new paragraph may follow without a full stop: a heading, a list item, a table row. */
  readonly isLoose: boolean;
}

/*
 * Texts are long, and some are one run without a space (base64, DNA, Chinese, degenerate model output), so no pattern here may rescan a run
 * from each of its characters: patterns start where a run starts, or see only the end of the text.
 */

const FENCE = /^[^\S\n]*(?:```|~~~)/gm;
/** Links, mail addresses and tags: often repeated, and not part of any language. */
export const ADDRESS = /\b(?:https?:\/\/|www\.)\S+|(?<!\S)\S+@\S+|<[^<>\n]{1,200}>/g;
const TAIL_CHARS = 200;
const SIGNS_CHARS = 300;
const SIGNS_MIN = 3;
const SIGNS_SHARE = 0.06;
const LOOSE_LINE = /^(?:#{1,6}\s|[-*+•–]\s|\d+[.)]\s|\||>|\*\*[^*]*\*\*:?\s*$)/;

export function contextOf(text: string): Context {
  const lastLine = text.slice(text.lastIndexOf('\n') + 1).trimStart();
  return { inCode: isInFence(text) || hasSignsOfCode(text), lastLine, isLoose: LOOSE_LINE.test(lastLine) };
}

/** True if a fenced code block is open at the end. */
export function isInFence(text: string): boolean {
  return (text.match(FENCE)?.length ?? 0) % 2 === 1;
}

/** Decided by the unfinished paragraph, so that prose after a code block is prose. */
function hasSignsOfCode(text: string): boolean {
  const from = Math.max(text.lastIndexOf('\n\n'), text.lastIndexOf('\n```'), text.length - SIGNS_CHARS);
  const end = text.slice(Math.max(0, from));
  return (end.match(/[{}()[\];=<>|&$\\]/g)?.length ?? 0) > Math.max(SIGNS_MIN, end.length * SIGNS_SHARE);
}

/** The end of a text, long enough to contain its last word. */
export function tailOf(text: string): string {
  return text.slice(-TAIL_CHARS);
}

/** The words of a text in lower case, letters and digits only. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
}

const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;

/** True for a character of a script without spaces between words. */
export function isUnspaced(char: string): boolean {
  return UNSPACED.test(char);
}

/** True if most letters are of such a script. */
export function isMostlyUnspaced(text: string): boolean {
  const letters = text.match(/\p{L}/gu) ?? [];
  return letters.filter(isUnspaced).length * 2 > letters.length;
}

/** The prose of a text: without code, addresses, markup and numbers. */
export function proseOf(text: string, startsInCode = false): string {
  const open = startsInCode ? `\`\`\`\n${text}` : text;
  return open
    .replaceAll(/^[^\S\n]*(?:```|~~~)[\s\S]*?(?:^[^\S\n]*(?:```|~~~)|$(?![\s\S]))/gm, ' ')
    .replaceAll(/`[^`\n]*`/g, ' ')
    .replaceAll(ADDRESS, ' ')
    .replaceAll(/(?<!\S)\S*[\p{N}_/\\=(){}[\]]\S*/gu, ' ')
    .replaceAll(/[#*>|~]+/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/** The number of letters; those of scripts with about one letter per word count three times. */
export function weightOf(text: string): number {
  let weight = 0;
  for (const letter of text.match(/\p{L}/gu) ?? []) weight += isUnspaced(letter) ? 3 : 1;
  return weight;
}
