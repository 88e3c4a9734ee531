/** Chance from the system: for spreading and weighing, not for secrets. Made here and nowhere else. */
import { randomUUID } from 'node:crypto';
import type { Random } from '../core/random.ts';

export const systemRandom: Random = { next: () => Math.random() };

/** A name that no other process has. */
export function uniqueName(): string {
  return randomUUID().slice(0, 13);
}
