/**
 * Runs work that is too long for one turn of the event loop, such as parsing a body of 64 MB, in steps. All such work of a process shares
 * one budget per turn, so other requests are delayed by at most one budget, however many large bodies arrive together.
 */
import type { Clock } from './clock.ts';

/** Items that take a few microseconds each, per turn of the event loop. */
const SLICE_ITEMS = 1_000;

/** Calls `each` for every item; after each thousand, other work of the event loop comes first. */
export async function inSlices<T>(clock: Clock, items: Iterable<T>, each: (item: T) => void): Promise<void> {
  let left = SLICE_ITEMS;
  for (const item of items) {
    if (left-- === 0) {
      await new Promise<void>((resolve) => void clock.schedule(0, resolve));
      left = SLICE_ITEMS - 1;
    }
    each(item);
  }
}

/** The budget of one turn of the event loop, in milliseconds, and in steps for a clock that does not advance. */
const TURN_MS = 4;
const TURN_STEPS = 16;

interface Job {
  readonly step: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class SlicedWork {
  readonly #clock: Clock;
  readonly #jobs: Job[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `step`, which takes about a millisecond at most, until it returns true; jobs take turns. Rejects with what it throws. */
  run(step: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#jobs.push({ step, resolve, reject });
      if (this.#jobs.length === 1) this.#clock.schedule(0, this.#turn);
    });
  }

  readonly #turn = (): void => {
    const endsAt = this.#clock.now() + TURN_MS;
    for (let steps = 0; steps < TURN_STEPS && this.#jobs.length > 0; steps++) {
      this.#advance(this.#jobs.shift()!);
      if (this.#clock.now() >= endsAt) break;
    }
    if (this.#jobs.length > 0) this.#clock.schedule(0, this.#turn);
  };

  #advance(job: Job): void {
    try {
      if (job.step()) job.resolve();
      else this.#jobs.push(job);
    } catch (error) {
      job.reject(error);
    }
  }
}
