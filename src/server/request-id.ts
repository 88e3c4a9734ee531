import type { Random } from '../core/random.ts';

/** Base-36 characters of the prefix, about 100 bits, so that ids of other processes can't be guessed. */
const prefixDraws = 3;
const charsPerDraw = 7;

/** Creates `req_` ids: a random prefix per process, and a counter. */
export function createRequestIds(random: Random): () => string {
  let prefix = 'req_';
  for (let draw = 0; draw < prefixDraws; draw++) {
    prefix += Math.floor(random.next() * 36 ** charsPerDraw)
      .toString(36)
      .padStart(charsPerDraw, '0');
  }
  let count = 0;
  return () => prefix + (count++).toString(36);
}
