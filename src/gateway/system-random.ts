/** The system's random numbers, for jitter and weighted choice, not for secrets, and unique names: the only use of `Math.random`. */
import { randomUUID } from 'node:crypto';
import type { Random } from '../core/random.ts';

export const systemRandom: Random = { next: () => Math.random() };

/** A name that no other process has. */
export function uniqueName(): string {
  return randomUUID().slice(0, 13);
}
