import type { Instant } from './clock.ts';

/** Allows an action at most once per interval, such as a warning that would otherwise be logged for every request. */
export class Pace {
  readonly #intervalMs: number;
  #nextAt: Instant = -Infinity;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** True: the action may run now; the next interval starts. */
  isDue(now: Instant): boolean {
    if (now < this.#nextAt) return false;
    this.#nextAt = now + this.#intervalMs;
    return true;
  }
}
