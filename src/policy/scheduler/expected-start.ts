import type { Instant } from '../../core/clock.ts';
import type { Capacity } from '../../core/resource.ts';
import { isHoldable } from './evaluate.ts';
import type { Evaluation } from './evaluate.ts';
import type { Entry } from './target-set.ts';
import type { Applicant } from './types.ts';

/**
 * When an applicant would start at the current rate of starts; null: at once, or unknown. Used for the retry-after of refusals, and for
 * `startsInMs`.
 */
export function expectedStart<T extends Capacity, A extends Applicant<T>>(
  now: Instant,
  shares: readonly number[],
  entry: Entry<T, A>,
  { soonest, soonestAt }: Pick<Evaluation<T, A>, 'soonest' | 'soonestAt'>,
): Instant | null {
  if (soonest === null) return null;
  let expected = soonestAt;
  const need = entry.applicant.needOn(soonest.target);
  for (const queue of soonest.queues)
    if (isHoldable(queue.resource)) expected = Math.max(expected, queue.expectedAt(now, entry, need, shares, false));
  return expected > now ? expected : null;
}
