/**
 * Slices of limits that refill slowly, as limits of a day. What a member holds when it is killed is lost until it has refilled, so it holds
 * only what it is about to use, and at most a twentieth of the limit. The rest stays in the pool.
 */
import type { Instant } from './clock.ts';

/** A slice is enough for this much time of recent demand, in milliseconds. */
const AHEAD_MS = 5_000;
/** The same while others wait. */
const SCARCE_AHEAD_MS = 1_000;
/** While requests wait, each slice is larger than the previous one by this factor, so that bursts take few exchanges. */
const GROWTH = 4;
/** The maximum of a slice, as a share of the limit. */
const SHARE_MAX = 1 / 20;
/** Slices of all members together leave this share of what is left in the pool. */
const POOL_SHARE = 1 / 2;
/** A slice that exceeds its target by less than this factor is kept, up to the maximum. */
const SLACK = 1.5;
/** Once less than this share of a slice is left, the next one is requested. */
export const NEXT_AT_SHARE = 1 / 2;
/** The interval at which an idle lease is confirmed, in milliseconds: without the store it relies on the level of the pool in the last grant. */
const SLICE_CONFIRM_MS = 5_000;
/** The same, at each exchange, while the pool changes by this share of the limit between two of them. */
const MOVING_SHARE = 0.005;
/** Older knowledge of the pool is not relied on, as after a freeze, in milliseconds. */
export const POOL_KNOWN_MS = 10_000;
/** After the store was away, its members report what they have used within this time, in milliseconds. */
export const RECOVERY_MS = 5_000;

export interface SliceDemand {
  /** The whole limit, and what is left of it in the pool and here. */
  readonly whole: number;
  readonly left: number;
  readonly members: number;
  /** The slice of the last claim. */
  readonly before: number;
  /** The largest recent request. */
  readonly unit: number;
  readonly ratePerMs: number;
  /** The need of the first waiting request; 0: none waits. */
  readonly first: number;
  /** Others wait for what this member does not need. */
  readonly isScarce: boolean;
}

/** The amount to hold. An amount that is too small for a request is left in the pool; then each start fetches what it needs. */
export function sliceOf({ whole, left, members, before, unit, ratePerMs, first, isScarce }: SliceDemand): number {
  const most = Math.min(whole * SHARE_MAX, (left * POOL_SHARE) / Math.max(1, members));
  const grown = first > 0 ? grownSlice(before, first) : 0;
  const ahead = isScarce ? ratePerMs * SCARCE_AHEAD_MS : Math.max(grown, unit, ratePerMs * AHEAD_MS);
  const slice = Math.floor(Math.min(most, ahead) + 1e-9);
  return Math.max(first, slice < unit ? 0 : slice);
}

/** The next slice while a request waits, given the previous one and its need. */
export function grownSlice(before: number, first: number): number {
  return GROWTH * Math.max(before, first);
}

/** What is held beyond the slice and can be returned. */
export function excessOf(held: number, slice: number, { whole, unit, isScarce }: Pick<SliceDemand, 'whole' | 'unit' | 'isScarce'>): number {
  const kept = isScarce ? slice : Math.max(slice, Math.min(whole * SHARE_MAX, Math.max(slice * SLACK, slice + unit)));
  return held > kept ? held - slice : 0;
}

/** How soon what is known of the pool is confirmed, in milliseconds, given its level in the last two grants. */
export function confirmAfterMs(whole: number, before: number, level: number): number {
  return Math.abs(level - before) > whole * MOVING_SHARE ? 0 : SLICE_CONFIRM_MS;
}

/** What may be drawn from the pool until the others have reported what they used while the store was away. */
export interface Recovery {
  readonly until: Instant;
  left: number;
}

/** After the pool was found empty, others are expected to return what they do not need within this time, in milliseconds. */
const RETURN_MS = 1_500;

/** A lease that has just run short expects something from others for this long, in milliseconds. */
const EXPECT_MS = 1_500;
/** It runs short anew if it was not short for this long, in milliseconds. */
const SHORT_AGAIN_MS = 10_000;

/** When a lease last ran short. After an idle time, what others have left is unknown until they have been asked. */
export class Shortage {
  #since: Instant = -Infinity;
  #at: Instant = -Infinity;

  note(now: Instant): void {
    if (now - this.#at > SHORT_AGAIN_MS) this.#since = now;
    this.#at = now;
  }

  /** Others may still return any part of the limit. */
  isNew(now: Instant): boolean {
    return now - this.#at > SHORT_AGAIN_MS || now - this.#since < EXPECT_MS;
  }
}

/** What other members may hold and not need, which is unknown until they have been asked. */
export class HeldByOthers {
  #emptySince: Instant | null = null;

  /** `isWaiting`: the claim that was answered had a waiting request. */
  granted(now: Instant, isMore: boolean, isWaiting: boolean): void {
    if (isMore) this.#emptySince = null;
    else if (isWaiting) this.#emptySince ??= now;
  }

  /** At most this much may still be returned. */
  most(now: Instant, { whole, members }: Pick<SliceDemand, 'whole' | 'members'>): number {
    const isExpected = this.#emptySince === null || now - this.#emptySince < RETURN_MS;
    return isExpected ? (members - 1) * whole * SHARE_MAX : 0;
  }
}
