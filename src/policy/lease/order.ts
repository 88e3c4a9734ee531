import type { Instant } from '../../core/clock.ts';

/** A member that waits, by its name. */
type Waiting = readonly [name: string, part: { readonly rank: number; readonly since: Instant }];

/** The order in which waiting members are served: by class, then by waiting time, then by name, so that all members agree. */
export function inOrder([name, part]: Waiting, [otherName, other]: Waiting): number {
  return part.rank - other.rank || part.since - other.since || (name < otherName ? -1 : 1);
}
