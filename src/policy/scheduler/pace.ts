import type { Instant } from '../../core/clock.ts';

/** Gaps between starts that the pace remembers, about. */
const MEMORY = 32;
/** Fewer starts than this say nothing. */
const GAPS_MIN = 8;
/** A gap longer than so many usual ones is a pause, not a pace. */
const PAUSE = 20;
/** A promise is refused only if even a pace so many times as fast would be too slow. */
const HOPE = 2;

/** How often one of those who wait for a place gets one: what other calls take is not known, only seen. */
export class Pace {
  #lastAt: Instant = -Infinity;
  #gapMs = 0;
  #gaps = 0;

  note(now: Instant): void {
    const gapMs = now - this.#lastAt;
    this.#lastAt = now;
    if (gapMs === Infinity) return;
    if (this.#gaps >= GAPS_MIN && gapMs > PAUSE * this.#gapMs) return;
    this.#gaps = Math.min(MEMORY, this.#gaps + 1);
    this.#gapMs += (gapMs - this.#gapMs) / this.#gaps;
  }

  /** Between two starts, in milliseconds; null: nobody knows. `least`: no less. */
  gapMs(least: boolean): number | null {
    if (this.#gaps < GAPS_MIN) return null;
    return this.#gapMs / (least ? HOPE : 1);
  }
}
