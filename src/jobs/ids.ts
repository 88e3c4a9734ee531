import type { Random } from '../core/random.ts';

const DRAWS = 4;
const CHARACTERS_PER_DRAW = 6;

/** `file-…`, `batch_…`: 24 characters in base 36, more than a hundred bits. */
export function createId(random: Random, prefix: string): string {
  let id = prefix;
  for (let draw = 0; draw < DRAWS; draw++) {
    id += Math.floor(random.next() * 36 ** CHARACTERS_PER_DRAW)
      .toString(36)
      .padStart(CHARACTERS_PER_DRAW, '0');
  }
  return id;
}
