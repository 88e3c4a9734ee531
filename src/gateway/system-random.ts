/** Chance from the system: for spreading and weighing, not for secrets. Made here and nowhere else. */
import type { Random } from '../core/random.ts';

export const systemRandom: Random = { next: () => Math.random() };
