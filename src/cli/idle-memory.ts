/**
 * Returns memory to the system when the process becomes idle. The start, and a load that has passed, leave garbage in a heap that has grown for
 * it; V8 collects when something is allocated, which an idle process does not do. One collection then frees what is unused and shrinks the young
 * generation, and malloc returns what it keeps: 20 MB after a start, 100 MB and more after a load. It takes tens of milliseconds, so it waits until nothing runs.
 */
import type { Clock, Timer } from '../core/clock.ts';

/** Until the first look, in milliseconds: the start is over. */
const FIRST_LOOK_MS = 700;
const LOOK_MS = 2_000;
/** After requests, this many looks in a row must find none: a heap that shrinks between two bursts has to grow again. */
const QUIET_LOOKS_MIN = 5;
/** A process that has grown by less since the last collection is left alone, in bytes. */
const GROWTH_MIN_BYTES = 8 * 1024 * 1024;

export interface IdleMemoryOptions {
  readonly clock: Clock;
  /** Work that runs or waits. */
  readonly isBusy: () => boolean;
  /** Requests so far. */
  readonly requests: () => number;
  /** Memory of the process that is not swapped out, in bytes. */
  readonly residentBytes: () => number;
  readonly collect: () => void;
}

/** Looks from time to time. Returns how to stop. */
export function releaseWhenIdle({ clock, isBusy, requests, residentBytes, collect }: IdleMemoryOptions): () => void {
  let seen = requests();
  let quietLooks = seen === 0 ? QUIET_LOOKS_MIN : 0;
  let afterLast = 0;
  let timer: Timer = clock.schedule(FIRST_LOOK_MS, look);

  function look(): void {
    timer = clock.schedule(LOOK_MS, look);
    const count = requests();
    quietLooks = count === seen && !isBusy() ? quietLooks + 1 : 0;
    seen = count;
    if (quietLooks < QUIET_LOOKS_MIN || residentBytes() - afterLast < GROWTH_MIN_BYTES) return;
    collect();
    afterLast = residentBytes();
  }

  return () => timer.cancel();
}
