/**
 * Headroom: the part of a rate limit that a class leaves unused while higher classes are active.
 *
 * Arrivals are random: if 75 requests of a higher class are expected within 50 seconds, 66 to 84 are likely. Without headroom, capacity
 * that a higher class did not use goes at once to the latest arrival of a lower class, although an earlier and more urgent request was
 * refused for lack of it; and a few more arrivals of the higher class than expected make another request late. So while the free capacity
 * is between `least` and `most`, only urgent requests of lower classes start. The headroom absorbs the variance; admission does not count
 * on it.
 *
 * Measured under overload: the 99th percentile of the wait of class `high` is 0.4 s with headroom, 4 s without.
 */
import type { Resource } from '../../core/resource.ts';

export interface Headroom {
  /** Shares of the limit. */
  readonly most: number;
  readonly least: number;
  /**
   * The weight of the assumption that no higher class is active, in milliseconds of supply. The smaller the headroom, the larger: an
   * unnecessary wait is preferable to a wrong refusal.
   */
  readonly priorMs: number;
}

/** In a bucket, unused capacity remains available. */
const OF_LEVEL: Headroom = { most: 0.25, least: 0.04, priorMs: 24_000 };
/** In a window, unused capacity is lost. */
const OF_WINDOW: Headroom = { most: 0.08, least: 0.03, priorMs: 40_000 };
/** A class counts as active for this long after its last start, in milliseconds. */
export const RECENT_MS = 60_000;
/** The share of every limit that jobs leave free while other classes are active. */
export const JOBS_HEADROOM = 0.2;
/** Requests that must start within this time may use the headroom, in milliseconds. */
export const URGENT_MS = 1000;

export function headroomOf(resource: Resource): Headroom {
  return resource.isWindow === true ? OF_WINDOW : OF_LEVEL;
}

/** The most that can be available at once; headroom beyond the burst would never be available. 0: no headroom. */
export function reservableOf({ limit = 0, capacity = limit }: Resource): number {
  return Math.min(limit, capacity);
}

/** The usable share of the inflow; in a window, headroom is lost capacity. */
export function inflowBesideHeadroom(resource: Resource): number {
  return resource.isWindow === true ? 1 - OF_WINDOW.least : 1;
}

/** A window whose free part is all in this process. */
export function isPlainWindow({ isWindow, isPooled }: Resource): boolean {
  return isWindow === true && isPooled !== true;
}
