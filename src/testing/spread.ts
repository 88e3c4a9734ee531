/** Quantities that vary from call to call. */
import type { Random } from '../core/random.ts';

/** A fixed number; a log-normal spread by its median and 95th percentile; or one of the samples, each as likely as another. */
export type Spread = number | { readonly p50: number; readonly p95: number } | { readonly samples: readonly number[] };

/** The z-value of the 95th percentile of a normal distribution. */
const Z95 = 1.6449;
/** A log-normal tail has no end; nothing is drawn beyond this many medians. */
const MEDIANS_MAX = 50;

/** Draws one value; a spread without samples gives 0. */
export function draw(spread: Spread, random: Random): number {
  if (typeof spread === 'number') return spread;
  if ('samples' in spread) return spread.samples[Math.floor(random.next() * spread.samples.length)] ?? 0;
  if (spread.p95 <= spread.p50 || spread.p50 <= 0) return spread.p50;
  const sigma = Math.log(spread.p95 / spread.p50) / Z95;
  return spread.p50 * Math.min(MEDIANS_MAX, Math.exp(sigma * normal(random)));
}

/** Box and Muller's way from two even numbers to a normal one. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}
