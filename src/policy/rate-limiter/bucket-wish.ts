/** What a member of a fleet asks for of a token bucket that is not leased in slices. */

/** An instance keeps the tokens for this long in addition to its refill, in milliseconds. */
const RESERVE_MS = 1_000;
/** An idle part keeps enough for this many requests. */
const RESERVE_UNITS = 4;
/** More refill is requested than was used, by this factor, so that usage can grow. */
const GROWTH = 1.15;

export interface BucketDemand {
  readonly whole: { readonly capacity: number; readonly rate: number };
  /** The size of the fleet; 0: this member joins, and does not know it yet. */
  readonly members: number;
  /** The largest recent request. */
  readonly unit: number;
  readonly ratePerMs: number;
  /** The need of the first waiting request; 0: none waits. */
  readonly first: number;
}

/** `reserve`: the tokens that it keeps. */
export function bucketWish({ whole, members, unit, ratePerMs, first }: BucketDemand): {
  reserve: number;
  wantCapacity: number;
  wantRate: number;
} {
  const { capacity, rate } = whole;
  if (members === 1) return { reserve: capacity, wantCapacity: capacity, wantRate: rate };
  const spare = Math.min(RESERVE_UNITS * unit, capacity / (4 * Math.max(1, members)));
  const reserve = Math.min(capacity, Math.max(first, ratePerMs * RESERVE_MS + spare));
  return { reserve, wantCapacity: Math.min(capacity, 2 * reserve), wantRate: first > 0 ? rate : Math.min(rate, ratePerMs * GROWTH) };
}
