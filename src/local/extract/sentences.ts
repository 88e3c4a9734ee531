/** Splits a text of any language into sentences and words by Unicode's segmentation rules, which also cover Chinese. */

export interface Sentence {
  readonly text: string;
  /** Lower-case words, without those that are too short to matter. */
  readonly words: readonly string[];
  /** It is the first of a paragraph. */
  readonly isFirst: boolean;
}

/** The part of a text that is read, in UTF-16 units. */
export const TEXT_LENGTH_MAX = 400_000;
/** Maximum number of sentences to compare; a longer text is sampled evenly. */
export const SENTENCES_MAX = 600;
/** Maximum length of a sentence; longer ones (tables, logs, text without full stops) are split. */
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

/** Unicode ends a sentence after `Mr.`; a short capitalized word with a full stop does not end one. */
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
