/** Where each who waits is counted on to start, and of what that takes: what those who come after it are judged by. */
import type { Instant } from '../../core/clock.ts';
import type { Capacity } from '../../core/resource.ts';
import type { Look } from './evaluate.ts';
import type { Entry, Place } from './lane.ts';
import { bucketOf } from './promises.ts';
import type { Applicant } from './types.ts';

/** Among so many of the first in a queue one is looked for to change places with. */
const EXCHANGE_LOOKS = 21;

/**
 * It is counted on to take what is scarcest of the target on which it will start soonest. Of what it will use besides there is enough,
 * or it comes to that too late to be in anybody's way.
 */
export function makePromise<T extends Capacity, A extends Applicant<T>>(now: Instant, entry: Entry<T, A>, look: Look<T, A>): void {
  entry.promisedOn = look.soonest;
  entry.promisedOf = look.scarcest;
  entry.bucket = bucketOf(now, entry.deadline);
  countPromise(now, entry, 1);
}

/** `sign` -1 takes the promise back. */
export function countPromise<T extends Capacity, A extends Applicant<T>>(now: Instant, entry: Entry<T, A>, sign: 1 | -1): void {
  const { promisedOf, promisedOn } = entry;
  if (promisedOf !== null) promisedOf.promise(now, entry, entry.applicant.needOn(promisedOn!.target), sign);
}

/** If it started elsewhere than it was counted on: one of those behind it, who was counted on there, is now counted on its place. */
export function exchangePromises<T extends Capacity, A extends Applicant<T>>(now: Instant, entry: Entry<T, A>, place: Place<T, A>): void {
  const { queue, promisedOn, promisedOf } = entry;
  if (promisedOf === null || promisedOn === place) return;
  for (let i = 0; i < EXCHANGE_LOOKS; i++) {
    const other = queue.entries.at(i);
    if (other === undefined) return;
    if (other.promisedOn !== place) continue;
    countPromise(now, other, -1);
    other.promisedOn = promisedOn;
    other.promisedOf = promisedOf;
    countPromise(now, other, 1);
    return;
  }
}
