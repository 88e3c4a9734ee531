/** The words of the tiny models, and which word follows which: they know no language, but write the same every time. */
import { createSeededRandom } from '../../../src/testing/seeded-random.ts';

export const START = 0;
export const END = 1;
export const PAD = 2;
export const SPECIALS = ['<s>', '</s>', '<pad>'];

const WORDS = (
  'harbour ship crane tide quay cargo sailor north wind rope mast anchor bridge signal pilot channel buoy light storm calm ' +
  'deck hull wave coast island captain engine whistle gull fog barrel chain dock ferry harvest iron journey keel lantern map ' +
  'net oar port rudder sail tower vessel watch yard beacon'
).split(' ');

/** Byte-level BPE names bytes by printable characters, as GPT-2 did. */
function byteNames(): string[] {
  const isPrintable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : next++));
}

export const TOKENS: readonly string[] = [...SPECIALS, ...byteNames(), ...WORDS.map((word) => `Ġ${word}`)];
const FIRST_BYTE = SPECIALS.length;
const FIRST_WORD = FIRST_BYTE + 256;

/** After this letter the words go round and never end. */
export const ENDLESS = 'x';

/**
 * What follows each token. From any byte the words come in turn up to the end; from `x` the last ten go round.
 */
export function successors(): number[] {
  const last = TOKENS.length - 1;
  const round = last - 9;
  return TOKENS.map((_, token) => {
    if (token === FIRST_BYTE + ENDLESS.charCodeAt(0)) return round;
    if (token < FIRST_WORD) return FIRST_WORD;
    if (token === round - 1) return END;
    return token === last ? round : token + 1;
  });
}

export interface TinyWeights {
  readonly width: number;
  /** A random row for each token. */
  readonly embedding: Float32Array;
  /** From such a row to the token that follows: the sum of the rows' products, whose cross-talk is small. Width × tokens. */
  readonly head: Float32Array;
  /** What follows where nothing else does: the first word. */
  readonly bias: Float32Array;
}

const SURE = 12;
const ELSE = 7;

/** Bytes that prompts end with. */
const LAST_BYTES = ' ].:\n?'.split('').map((letter) => FIRST_BYTE + letter.charCodeAt(0));

/** `withoutBias`: for models that have none, the first word follows what prompts end with. */
export function createWeights(width = 128, withoutBias = false): TinyWeights {
  const random = createSeededRandom(4747);
  const size = TOKENS.length;
  const embedding = Float32Array.from({ length: size * width }, () => (random.next() < 0.5 ? -1 : 1) / Math.sqrt(width));
  const head = new Float32Array(width * size);
  const bias = new Float32Array(size);
  bias[FIRST_WORD] = ELSE;
  for (const [token, next] of successors().entries()) {
    if (next === FIRST_WORD && !(withoutBias && LAST_BYTES.includes(token))) continue;
    for (let i = 0; i < width; i++) head[i * size + next]! += SURE * embedding[token * width + i]!;
  }
  return { width, embedding, head, bias };
}
