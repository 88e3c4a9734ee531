import type { Instant } from './clock.ts';

/** Allows something at most once per interval, such as a warning that would otherwise be logged for every request. */
export class Pace {
  readonly #intervalMs: number;
  #nextAt: Instant = -Infinity;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** True: it may happen now, and not again before the interval is over. */
  isDue(now: Instant): boolean {
    if (now < this.#nextAt) return false;
    this.#nextAt = now + this.#intervalMs;
    return true;
  }
}
