/** Quantities that vary between calls. */
import type { Random } from '../core/random.ts';

/** A constant; a log-normal spread by its median and 95th percentile; or a uniform choice among samples. */
export type Spread = number | { readonly p50: number; readonly p95: number } | { readonly samples: readonly number[] };

/** The z-value of the 95th percentile of a normal distribution. */
const Z95 = 1.6449;
/** Cap of the log-normal tail, in medians. */
const MEDIANS_MAX = 50;

/** Samples one value; a spread without samples gives 0. */
export function draw(spread: Spread, random: Random): number {
  if (typeof spread === 'number') return spread;
  if ('samples' in spread) return spread.samples[Math.floor(random.next() * spread.samples.length)] ?? 0;
  if (spread.p95 <= spread.p50 || spread.p50 <= 0) return spread.p50;
  const sigma = Math.log(spread.p95 / spread.p50) / Z95;
  return spread.p50 * Math.min(MEDIANS_MAX, Math.exp(sigma * normal(random)));
}

/** Samples the standard normal distribution (Box-Muller). */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}
