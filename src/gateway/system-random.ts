/** The system's random numbers, for jitter and weighted choice, not for secrets: the only use of `Math.random`. */
import type { Random } from '../core/random.ts';

export const systemRandom: Random = { next: () => Math.random() };
