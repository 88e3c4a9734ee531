import type { OtherCost } from '../core/events.ts';

/** The members that are present. */
export function otherCost({ unmeasuredCalls, estimatedUsd, checksUsd }: OtherCost): OtherCost {
  return {
    ...(unmeasuredCalls !== undefined && { unmeasuredCalls }),
    ...(estimatedUsd !== undefined && { estimatedUsd }),
    ...(checksUsd !== undefined && { checksUsd }),
  };
}

/** Calls whose response reported no usage, or not all of it. */
export function unmeasuredText(calls: number): string {
  return calls === 1 ? '1 call that did not report its usage' : `${calls} calls that did not report their usage`;
}
