/**
 * What a class leaves free of a rate limit while higher ones come: a stock against the chance of who comes.
 *
 * In the 50 seconds that one waits 75 of a higher class may come, give or take nine: nobody knows ahead. If everybody started as soon
 * as anything is free, a place that nobody of the higher class came for would go at once to whoever has come last, although one who came
 * before and is due sooner was refused it; and one too many would push somebody beyond the deadline. So between `least` and `most` only
 * those start who would soon be too late. Who comes more or less than expected is taken from the stock or fills it, and a newcomer
 * is not reckoned with what is in it.
 */
import type { Resource } from '../../core/resource.ts';

export interface Headroom {
  /** Parts of the limit. */
  readonly most: number;
  readonly least: number;
  /**
   * That higher classes come is a guess: for so long, in milliseconds, they are counted as if they had not. The smaller the stock,
   * the more a newcomer is given the benefit of the doubt: rather may it wait in vain than be refused wrongly.
   */
  readonly priorMs: number;
}

/** A level costs nothing: what is not used now is there later. */
const OF_LEVEL: Headroom = { most: 0.25, least: 0.04, priorMs: 24_000 };
/** Of a window what is not used is lost. */
const OF_WINDOW: Headroom = { most: 0.08, least: 0.03, priorMs: 40_000 };
/** A class that was seen within this may come again, in milliseconds. */
export const RECENT_MS = 60_000;
/** Jobs leave this part of every limit free, while others ask too. */
export const JOBS_HEADROOM = 0.2;
/** Whoever has to start within this takes of the stock, in milliseconds. */
export const URGENT_MS = 1000;

export function headroomOf(resource: Resource): Headroom {
  return resource.isWindow === true ? OF_WINDOW : OF_LEVEL;
}

/** What can be there at once, and so be kept free: a part of the whole limit would never be there where the burst is smaller. 0: nothing is kept. */
export function reservableOf({ limit = 0, capacity = limit }: Resource): number {
  return Math.min(limit, capacity);
}

/** Of a window what is left free is lost: so much of what flows in is to be had. */
export function inflowBesideHeadroom(resource: Resource): number {
  return resource.isWindow === true ? 1 - OF_WINDOW.least : 1;
}
