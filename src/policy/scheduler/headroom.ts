/**
 * The headroom that a class leaves in a rate limit while higher classes are active.
 *
 * Arrivals are random: in 50 seconds 75 requests of a higher class may come, plus or minus nine. Without headroom, capacity that a higher
 * class did not use goes at once to the latest arrival, although an earlier and more urgent one was refused it; and one arrival too many
 * makes another request late. So while the level is between `least` and `most` only urgent requests start. The headroom absorbs the
 * variance, and admission does not count it. It earns the wait of `high` under overload: p99 0.4 s instead of 4 s.
 */
import type { Resource } from '../../core/resource.ts';

export interface Headroom {
  /** Shares of the limit. */
  readonly most: number;
  readonly least: number;
  /**
   * Prior time without higher classes, in milliseconds. The smaller the headroom, the longer: rather a wait in vain than a wrong refusal.
   */
  readonly priorMs: number;
}

/** Of a bucket, unused capacity stays available. */
const OF_LEVEL: Headroom = { most: 0.25, least: 0.04, priorMs: 24_000 };
/** Of a window, unused capacity is lost. */
const OF_WINDOW: Headroom = { most: 0.08, least: 0.03, priorMs: 40_000 };
/** A class is active for this long after its last start, in milliseconds. */
export const RECENT_MS = 60_000;
/** The share of every limit that jobs leave free while others are active. */
export const JOBS_HEADROOM = 0.2;
/** Requests that must start within this may use the headroom, in milliseconds. */
export const URGENT_MS = 1000;

export function headroomOf(resource: Resource): Headroom {
  return resource.isWindow === true ? OF_WINDOW : OF_LEVEL;
}

/** The most that can be available at once: headroom beyond the burst would never be there. 0: there is no headroom. */
export function reservableOf({ limit = 0, capacity = limit }: Resource): number {
  return Math.min(limit, capacity);
}

/** The usable share of the inflow: of a window, headroom is lost capacity. */
export function inflowBesideHeadroom(resource: Resource): number {
  return resource.isWindow === true ? 1 - OF_WINDOW.least : 1;
}
