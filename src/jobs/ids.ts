import { hash } from 'node:crypto';
import type { Random } from '../core/random.ts';

const DRAWS = 4;
const CHARACTERS_PER_DRAW = 6;
/** The length of an id derived from an idempotency key, without its prefix. */
const KEYED_LENGTH = 32;

/** `file-…`, `batch_…`: 24 characters in base 36, over a hundred bits. */
export function createId(random: Random, prefix: string): string {
  let id = prefix;
  for (let draw = 0; draw < DRAWS; draw++) {
    id += Math.floor(random.next() * 36 ** CHARACTERS_PER_DRAW)
      .toString(36)
      .padStart(CHARACTERS_PER_DRAW, '0');
  }
  return id;
}

/** The id of what a client creates with this idempotency key; deterministic. */
export function keyedId(prefix: string, client: string, idempotencyKey: string): string {
  return prefix + hash('sha256', JSON.stringify([client, idempotencyKey])).slice(0, KEYED_LENGTH);
}
