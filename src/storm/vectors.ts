/** Embeddings: unit vectors that depend only on the seed, the model and the text. */
import { createSeededRandom, hashNumbers, hashText } from './random.ts';

const DIMENSIONS_MAX = 4096;

/** The vector of a text, with 1 to 4,096 dimensions. */
export function toVector(seed: number, model: string, text: string, dimensions: number): Float32Array<ArrayBuffer> {
  const random = createSeededRandom(hashNumbers(seed, hashText(model), hashText(text)));
  const length = Math.min(DIMENSIONS_MAX, Math.max(1, dimensions));
  const vector = Float32Array.from({ length }, () => random.next() * 2 - 1);
  const norm = Math.hypot(...vector) || 1;
  return vector.map((value) => value / norm);
}
