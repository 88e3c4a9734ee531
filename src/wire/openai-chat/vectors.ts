/** Checks the embeddings of a response in place: they may be 20 MB, and all that matters is their number and that they contain numbers. */
import { asBuffer } from '../bytes.ts';
import { kindOf } from '../json-values.ts';
import type { BodyMember } from '../request-body.ts';

/** Returned instead of a count if a vector is empty, or contains anything but numbers. */
export const INVALID_VECTOR = -1;

const VECTOR_KEY = Buffer.from('"embedding"');
const NULL = Buffer.from('null');
const COLON = 0x3a;
const QUOTE = 0x22;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * The number of vectors in a list, or `INVALID_VECTOR`. OpenAI's shape is a list of objects, each with the key `embedding` (which also occurs
 * as a value); others return a list of vectors, or an object of such lists by type. `bytes` must be valid JSON.
 */
export function countVectors(bytes: Uint8Array, member: BodyMember): number {
  const kind = kindOf(bytes, member);
  if (kind === 'other' || member.items === 0) return 0;
  const data = asBuffer(bytes).subarray(member.start, member.end);
  const reader = new VectorReader(data);
  return kind === 'array' && data[reader.skipBlanks(1)] === OPEN_BRACE ? reader.countInObjects() : reader.countInLists();
}

/** The same for a complete response in OpenAI's shape. */
export function countVectorsIn(data: Buffer): number {
  return new VectorReader(data).countInObjects();
}

class VectorReader {
  readonly #data: Buffer;
  /** Positions of the next `null` and the next quote, so that the data is searched only once. */
  #nullAt = -1;
  #quoteAt = -1;

  constructor(data: Buffer) {
    this.#data = data;
  }

  countInObjects(): number {
    const data = this.#data;
    let count = 0;
    for (let at = data.indexOf(VECTOR_KEY); at >= 0; at = data.indexOf(VECTOR_KEY, at)) {
      at = this.skipBlanks(at + VECTOR_KEY.length);
      if (data[at] !== COLON) continue;
      if (!this.#isFilled(this.skipBlanks(at + 1))) return INVALID_VECTOR;
      count++;
    }
    return count;
  }

  /** Every innermost list is a vector. */
  countInLists(): number {
    const data = this.#data;
    let count = 0;
    for (let at = data.indexOf(OPEN_BRACKET); at >= 0; at = data.indexOf(OPEN_BRACKET, at + 1)) {
      const first = data[this.skipBlanks(at + 1)];
      if (first === OPEN_BRACKET) continue;
      if (first !== QUOTE && !this.#isVector(at)) return INVALID_VECTOR;
      count++;
    }
    return count;
  }

  skipBlanks(at: number): number {
    while (this.#data[at]! <= 0x20) at++;
    return at;
  }

  /** True for a non-empty vector: numbers, base64, or lists of either by type. */
  #isFilled(start: number): boolean {
    const data = this.#data;
    let at = start;
    let inside = this.skipBlanks(at + 1);
    while (data[at] === OPEN_BRACKET && data[inside] === OPEN_BRACKET) {
      at = inside;
      inside = this.skipBlanks(at + 1);
    }
    if (data[at] === QUOTE) return data[inside] !== QUOTE;
    if (data[at] === OPEN_BRACE) return data[inside] !== CLOSE_BRACE;
    return data[at] === OPEN_BRACKET && this.#isVector(at);
  }

  /** True for a list of numbers that is not empty. `start`: its opening bracket. */
  #isVector(start: number): boolean {
    const data = this.#data;
    if (data[this.skipBlanks(start + 1)] === CLOSE_BRACKET) return false;
    const end = data.indexOf(CLOSE_BRACKET, start);
    if (this.#nullAt < start) this.#nullAt = orInfinity(data.indexOf(NULL, start));
    if (this.#quoteAt < start) this.#quoteAt = orInfinity(data.indexOf(QUOTE, start));
    return this.#nullAt > end && this.#quoteAt > end && isNumber(data[this.skipBlanks(start + 1)]!);
  }
}

function isNumber(first: number): boolean {
  return first === 0x2d || (first >= 0x30 && first <= 0x39);
}

function orInfinity(found: number): number {
  return found < 0 ? Infinity : found;
}
