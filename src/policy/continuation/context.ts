/** What kind of text breaks off where: prose, code or JSON, in the middle of a sentence or at its end. */

export interface Context {
  /** Inside a fenced block of code, or in a text of as many signs as code has. */
  readonly inCode: boolean;
  /** The line that breaks off, without its beginning white space. */
  readonly lastLine: string;
  /** Where a new paragraph may follow without a full stop: a heading, an item of a list, a row of a table. */
  readonly isLoose: boolean;
}

/*
 * Texts are long, and some are one run without a space (base64, DNA, Chinese, a model that has gone mad), so no pattern here may
 * look at a run again from each of its characters: patterns begin where a run begins, or see the end of the text alone.
 */

const FENCE = /^[^\S\n]*(?:```|~~~)/gm;
/** Links, mail addresses and tags: repeated for a good reason, and of no language. */
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

/** True if a fenced block of code is open at the end. */
export function isInFence(text: string): boolean {
  return (text.match(FENCE)?.length ?? 0) % 2 === 1;
}

/** Judged by the paragraph that breaks off, so that prose behind a block of code is prose. */
function hasSignsOfCode(text: string): boolean {
  const from = Math.max(text.lastIndexOf('\n\n'), text.lastIndexOf('\n```'), text.length - SIGNS_CHARS);
  const end = text.slice(Math.max(0, from));
  return (end.match(/[{}()[\];=<>|&$\\]/g)?.length ?? 0) > Math.max(SIGNS_MIN, end.length * SIGNS_SHARE);
}

/** The end of a text, with its last word: what is longer is no word. */
export function tailOf(text: string): string {
  return text.slice(-TAIL_CHARS);
}

/** The words of a text in lower case, letters and digits only. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
}

const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;

/** True for a character of a script that puts no spaces between words. */
export function isUnspaced(char: string): boolean {
  return UNSPACED.test(char);
}

/** True if most letters are of such a script. */
export function isMostlyUnspaced(text: string): boolean {
  const letters = text.match(/\p{L}/gu) ?? [];
  return letters.filter(isUnspaced).length * 2 > letters.length;
}

/** What is language in a text: without code, addresses, markup and numbers. */
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

/** Letters, those of scripts whose letter is about a word counted three times. */
export function weightOf(text: string): number {
  let weight = 0;
  for (const letter of text.match(/\p{L}/gu) ?? []) weight += isUnspaced(letter) ? 3 : 1;
  return weight;
}
