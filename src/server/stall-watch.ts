/**
 * Bytes that are held for a caller who may have stopped: a body that is being sent, an answer that is not read. One timer for all of
 * them: nearly every body is here, and nearly every answer taken, before a timer of its own would be set.
 */
import type { Clock, Instant } from '../core/clock.ts';
import { BreakwaterError } from '../core/errors.ts';
import { RunningList, type Running } from '../pipeline/request/running-list.ts';

/** How often they are looked at, in milliseconds: what they are bounded by may last that much longer. */
const lookAfterMs = 250;

/** When a caller who gave up its room for others may well find some, in milliseconds. */
const roomRetryMs = 1000;

export interface Stallable extends Running {
  /** Whose share it is counted in. */
  readonly holder: string;
  readonly heldBytes: number;
  /** When its caller last did something. */
  readonly movedAt: Instant;
  /** Without a move for so long it gives way to others where memory is short, in milliseconds. */
  readonly givesWayAfterMs: number;
  /** Notes what its caller did, and ends it where it has used up its time. */
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

  /** Ends the one that has stood still longest, of this holder or of anybody (null). False: none may be ended. */
  makeRoom(holder: string | null): boolean {
    const now = this.#clock.now();
    let found: Stallable | null = null;
    for (const each of this.#watched.all() as Stallable[]) {
      if (each.heldBytes === 0 || (holder !== null && each.holder !== holder)) continue;
      if (now - each.movedAt < each.givesWayAfterMs) continue;
      if (found === null || each.movedAt < found.movedAt) found = each;
    }
    found?.stop(new BreakwaterError('queue_full', 'memory is short, and this request stood still', { retryAfterMs: roomRetryMs }));
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
