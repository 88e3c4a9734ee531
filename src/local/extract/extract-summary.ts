/**
 * A summary of a text's own sentences, by LexRank (Erkan and Radev 2004): a sentence ranks high if it is similar to
 * other sentences that rank high. Words that occur in many sentences have little weight, so no list of stop words is needed and every language works.
 * The packages on npm that do this support English only or are unmaintained.
 */
import { toSentences } from './sentences.ts';
import type { Sentence } from './sentences.ts';

export interface Summary {
  /** In the order of the text, each with its leading space if the language has one. */
  readonly sentences: readonly string[];
  /** Even the first sentence exceeds `bytesMax`. */
  readonly isCut: boolean;
}

/** A summary has this share of the sentences, within these limits. */
const SHARE = 0.2;
const LENGTH_MIN = 3;
const LENGTH_MAX = 6;
/** Maximum length, in characters: that of a paragraph. */
const CHARACTERS_MAX = 1_200;
/** Below the first value two sentences count as unrelated, above the second as duplicates. */
const SIMILARITY_MIN = 0.05;
const DUPLICATE_MIN = 0.6;
const DAMPING = 0.85;
const ITERATIONS = 30;
/** A sentence of fewer words is a heading or an exclamation. */
const WORDS_MIN = 4;

type Vector = ReadonlyMap<string, number>;

/** `bytesMax`: bytes of UTF-8; a longer first sentence is truncated. */
export function extractSummary(text: string, bytesMax = Infinity): Summary {
  const sentences = toSentences(text);
  const vectors = toVectors(sentences);
  const ranks = rank(sentences, vectors);
  const order = ranks.map((_, i) => i).sort((a, b) => ranks[b]! - ranks[a]! || a - b);
  const wanted = Math.min(LENGTH_MAX, Math.max(LENGTH_MIN, Math.round(sentences.length * SHARE)));
  const chosen: number[] = [];
  let characters = 0;
  let bytes = 0;
  for (const i of order) {
    if (chosen.length >= wanted) break;
    const { text: candidate } = sentences[i]!;
    const size = Buffer.byteLength(candidate) + 1;
    if (chosen.length > 0 && (characters + candidate.length > CHARACTERS_MAX || bytes + size > bytesMax)) continue;
    if (chosen.some((other) => similarity(vectors[i]!, vectors[other]!) > DUPLICATE_MIN)) continue;
    chosen.push(i);
    characters += candidate.length;
    bytes += size;
  }
  const texts = chosen.sort((a, b) => a - b).map((i) => sentences[i]!.text);
  if (Buffer.byteLength(texts[0] ?? '') > bytesMax) return { sentences: [cutAt(texts[0]!, bytesMax)], isCut: true };
  return { sentences: texts.map((each, i) => (i === 0 || /[。！？]$/u.test(texts[i - 1]!) ? each : ` ${each}`)), isCut: false };
}

/** The TF-IDF vector of a sentence, normalized to length 1. */
function toVectors(sentences: readonly Sentence[]): Vector[] {
  const documentFrequency = new Map<string, number>();
  for (const { words } of sentences) for (const word of new Set(words)) documentFrequency.set(word, (documentFrequency.get(word) ?? 0) + 1);
  return sentences.map(({ words }) => {
    const vector = new Map<string, number>();
    for (const word of words) vector.set(word, (vector.get(word) ?? 0) + Math.log(1 + sentences.length / documentFrequency.get(word)!));
    const length = Math.hypot(...vector.values());
    for (const [word, weight] of vector) vector.set(word, weight / length);
    return vector;
  });
}

function similarity(a: Vector, b: Vector): number {
  const [few, many] = a.size < b.size ? [a, b] : [b, a];
  let sum = 0;
  for (const [word, weight] of few) sum += weight * (many.get(word) ?? 0);
  return sum;
}

/** The LexRank score of each sentence. The random jumps favor the beginning of the text, which usually states its subject. */
function rank(sentences: readonly Sentence[], vectors: readonly Vector[]): number[] {
  const count = sentences.length;
  const links: { readonly to: number; readonly weight: number }[][] = sentences.map(() => []);
  const sums = sentences.map(() => 0);
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      const weight = similarity(vectors[a]!, vectors[b]!);
      if (weight < SIMILARITY_MIN) continue;
      links[a]!.push({ to: b, weight });
      links[b]!.push({ to: a, weight });
      sums[a] = sums[a]! + weight;
      sums[b] = sums[b]! + weight;
    }
  }
  const visits = share(sentences.map((sentence, i) => (isFragment(sentence) ? 0.01 : (sentence.isFirst ? 1.2 : 1) * (1 + 2 / (1 + i)))));
  let ranks = visits;
  for (let round = 0; round < ITERATIONS; round++) {
    const next = visits.map((visit) => (1 - DAMPING) * visit);
    for (const [from, to] of links.entries()) {
      for (const link of to) next[link.to] = next[link.to]! + (DAMPING * ranks[from]! * link.weight) / sums[from]!;
    }
    ranks = next;
  }
  return ranks.map((value, i) => (isFragment(sentences[i]!) ? value / 10 : value));
}

function isFragment({ words }: Sentence): boolean {
  return words.length < WORDS_MIN;
}

function share(values: readonly number[]): number[] {
  const sum = values.reduce((total, value) => total + value, 0);
  return values.map((value) => value / sum);
}

function cutAt(text: string, bytesMax: number): string {
  const decoder = new TextDecoder();
  return decoder.decode(Buffer.from(text).subarray(0, bytesMax), { stream: true });
}
