import type { Clock, Instant } from '../core/clock.ts';
import { BreakwaterError } from '../core/errors.ts';
import { RunningList, type Running } from '../pipeline/running-list.ts';

/** How often uploads are looked at, in milliseconds: they may last that much longer. */
const lookAfterMs = 250;

/** A body on its way whose caller has set a deadline. */
export interface Upload extends Running {
  readonly endsAt: Instant;
}

/** Ends uploads at their deadline, with one timer for all: nearly every body is here before a timer of its own would be set. */
export class UploadWatch {
  readonly #clock: Clock;
  readonly #uploads = new RunningList();
  #looking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(upload: Upload): void {
    this.#uploads.add(upload);
    if (!this.#looking) this.#lookAgain();
  }

  remove(upload: Upload): void {
    this.#uploads.remove(upload);
  }

  readonly #look = (): void => {
    this.#looking = false;
    const now = this.#clock.now();
    for (const upload of this.#uploads.all() as Upload[]) {
      if (upload.endsAt > now) continue;
      upload.stop(new BreakwaterError('deadline_exceeded', 'the deadline passed while the request body was still on its way'));
    }
    if (this.#uploads.size > 0 && !this.#looking) this.#lookAgain();
  };

  #lookAgain(): void {
    this.#looking = true;
    this.#clock.schedule(lookAfterMs, this.#look);
  }
}
