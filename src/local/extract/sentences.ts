/** A text as sentences and their words, in whatever language it is: Unicode's own rules, which know Chinese words too. */

export interface Sentence {
  readonly text: string;
  /** Lower-case words, without those that say nothing by their length. */
  readonly words: readonly string[];
  /** It begins a paragraph. */
  readonly isFirst: boolean;
}

/** More of a text is not read, in UTF-16 units. */
export const TEXT_LENGTH_MAX = 400_000;
/** More sentences are not compared: of a longer text they are taken evenly. */
export const SENTENCES_MAX = 600;
/** A longer run without an end is cut: a table, a log, a text without full stops. */
const SENTENCE_LENGTH_MAX = 1_000;

const bySentence = new Intl.Segmenter(undefined, { granularity: 'sentence' });
const byWord = new Intl.Segmenter(undefined, { granularity: 'word' });

export function toSentences(text: string): Sentence[] {
  const found: Omit<Sentence, 'words'>[] = [];
  for (const paragraph of text
    .slice(0, TEXT_LENGTH_MAX)
    .toWellFormed()
    .split(/\n\s*\n|\r\n\s*\r\n/)) {
    let isFirst = true;
    for (const { segment } of bySentence.segment(paragraph.replaceAll(/\s+/g, ' '))) {
      for (const piece of piecesOf(segment.trim())) {
        found.push({ text: piece, isFirst });
        isFirst = false;
      }
    }
  }
  const joined = joinAbbreviations(found);
  return evenly(joined).map((sentence) => ({ ...sentence, words: wordsOf(sentence.text) }));
}

function piecesOf(sentence: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < sentence.length; at += SENTENCE_LENGTH_MAX)
    pieces.push(sentence.slice(at, at + SENTENCE_LENGTH_MAX).toWellFormed());
  return pieces;
}

/** Unicode ends a sentence after `Mr.`: what ends in a short word with a capital is no end. */
function joinAbbreviations(sentences: readonly Omit<Sentence, 'words'>[]): Omit<Sentence, 'words'>[] {
  const joined: Omit<Sentence, 'words'>[] = [];
  for (const sentence of sentences) {
    const last = joined.at(-1);
    const goesOn =
      last !== undefined && !sentence.isFirst && /(^|[\s(])(\p{Lu}\p{Ll}{0,3}|\p{Lu}(\.\p{Lu})+|vs|e\.g|i\.e|z\.B)\.$/u.test(last.text);
    if (goesOn && last.text.length < SENTENCE_LENGTH_MAX) joined[joined.length - 1] = { ...last, text: `${last.text} ${sentence.text}` };
    else joined.push(sentence);
  }
  return joined;
}

function evenly<T>(items: readonly T[]): readonly T[] {
  if (items.length <= SENTENCES_MAX) return items;
  return Array.from({ length: SENTENCES_MAX }, (_, i) => items[Math.floor((i * items.length) / SENTENCES_MAX)]!);
}

function wordsOf(sentence: string): string[] {
  const words: string[] = [];
  for (const { segment, isWordLike } of byWord.segment(sentence.normalize('NFKC').toLowerCase())) {
    if (isWordLike === true && (segment.length > 2 || !/^[\p{Script=Latin}\d]+$/u.test(segment))) words.push(segment);
  }
  return words;
}
