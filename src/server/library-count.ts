/** The libraries that use this gateway (`createBreakwater({ gateway })`): each takes its share of the limits if the gateway is lost. */
import type { Clock } from '../core/clock.ts';

/** A library that is silent for longer is no longer counted, in milliseconds. */
const SILENCE_MS = 10_000;
const LIBRARIES_MAX = 1_000;
const NAME_LENGTH_MAX = 64;

export class LibraryCount {
  readonly #clock: Clock;
  /** When each was last seen, the longest ago first. */
  readonly #seen = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many there are, the named one included. */
  note(name: string): number {
    const now = this.#clock.now();
    if (name.length <= NAME_LENGTH_MAX) {
      this.#seen.delete(name);
      this.#seen.set(name, now);
    }
    for (const [other, at] of this.#seen) {
      if (now - at <= SILENCE_MS && this.#seen.size <= LIBRARIES_MAX) break;
      this.#seen.delete(other);
    }
    return Math.max(1, this.#seen.size);
  }
}
