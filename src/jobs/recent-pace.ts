/** The recent rate of a batch, and the remaining time at that rate. */
import type { Instant } from '../core/clock.ts';

/** Samples of one window. */
const MARKS_PER_WINDOW = 20;
/** The shortest time over which a rate is measured, in milliseconds. */
const MEASURED_MIN_MS = 1_000;

export interface Pace {
  /** Requests per second; null if not known yet. */
  readonly perSecond: number | null;
  /** Remaining time; null if nothing has finished recently. */
  readonly leftMs: number | null;
}

export class RecentPace {
  readonly #windowMs: number;
  /** From the last one before the window on. */
  readonly #marks: { readonly at: Instant; readonly done: number }[] = [];
  #done = 0;
  #doneAt: Instant = -Infinity;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  note({ done, total }: { readonly done: number; readonly total: number }, now: Instant): Pace {
    const marks = this.#marks;
    if (done !== this.#done || marks.length === 0) this.#doneAt = now;
    this.#done = done;
    if (marks.length === 0 || now - marks.at(-1)!.at >= this.#windowMs / MARKS_PER_WINDOW) marks.push({ at: now, done });
    while (marks.length > 1 && marks[1]!.at <= now - this.#windowMs) marks.shift();
    const first = marks[0]!;
    const elapsedMs = now - first.at;
    if (elapsedMs < MEASURED_MIN_MS) return { perSecond: null, leftMs: null };
    const perSecond = ((done - first.done) * 1_000) / elapsedMs;
    if (perSecond <= 0) return { perSecond: 0, leftMs: null };
    // The last requests may be slow ones: the next takes at least as long as the current pause.
    return { perSecond, leftMs: Math.max(((total - done) / perSecond) * 1_000, now - this.#doneAt) };
  }
}
