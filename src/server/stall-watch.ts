/**
 * Supervises bytes that are buffered for callers that may have stalled: uploads, and responses that are not read. One timer serves all, since
 * nearly all of them complete before a timer of their own would fire.
 */
import type { Clock, Instant } from '../core/clock.ts';
import { BreakwaterError } from '../core/errors.ts';
import { RunningList, type Running } from '../pipeline/request/running-list.ts';

/** The interval of checks, in milliseconds, and so the precision of time limits. */
const lookAfterMs = 250;

/** The Retry-After of a stalled request that was ended, in milliseconds. */
const roomRetryMs = 1000;

export interface Stallable extends Running {
  /** The holder that the bytes count for. */
  readonly holder: string;
  readonly heldBytes: number;
  /** The last progress of the caller. */
  readonly movedAt: Instant;
  /** After this long without progress it may be ended when memory is needed, in milliseconds. */
  readonly givesWayAfterMs: number;
  /** Records progress, and ends it if its time is up. */
  look(now: Instant): void;
}

export class StallWatch {
  readonly #clock: Clock;
  readonly #watched = new RunningList();
  #looking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(each: Stallable): void {
    this.#watched.add(each);
    if (!this.#looking) this.#lookAgain();
  }

  remove(each: Stallable): void {
    this.#watched.remove(each);
  }

  /** Ends the request that has stalled longest, of this holder or of any (null). False: none may be ended. */
  makeRoom(holder: string | null): boolean {
    const now = this.#clock.now();
    let found: Stallable | null = null;
    for (const each of this.#watched.all() as Stallable[]) {
      if (each.heldBytes === 0 || (holder !== null && each.holder !== holder)) continue;
      if (now - each.movedAt < each.givesWayAfterMs) continue;
      if (found === null || each.movedAt < found.movedAt) found = each;
    }
    found?.stop(new BreakwaterError('queue_full', 'memory is low, and this request had stalled', { retryAfterMs: roomRetryMs }));
    return found !== null;
  }

  readonly #look = (): void => {
    this.#looking = false;
    const now = this.#clock.now();
    for (const each of this.#watched.all() as Stallable[]) each.look(now);
    if (this.#watched.size > 0 && !this.#looking) this.#lookAgain();
  };

  #lookAgain(): void {
    this.#looking = true;
    this.#clock.schedule(lookAfterMs, this.#look);
  }
}
