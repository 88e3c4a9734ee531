import type { Clock } from '../../core/clock.ts';

export interface NextChange {
  /** True if something has changed, false after a timeout. */
  readonly came: Promise<boolean>;
  /** Ends the wait. */
  end(): void;
}

/** Stream readers that wait for the next event of their job. */
export class StreamWaiters {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Set<() => void>>(); // one entry per reader
  isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Registers at once, so that a change before `came` is awaited is not missed. */
  next(job: string, lookMs: number): NextChange {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const wake = (): void => resolve(true);
    const timer = this.#clock.schedule(lookMs, () => resolve(false));
    const ofJob = this.#waiting.get(job) ?? new Set();
    this.#waiting.set(job, ofJob.add(wake));
    if (this.isClosed) wake();
    return {
      came: promise,
      end: () => {
        timer.cancel();
        ofJob.delete(wake);
        if (ofJob.size === 0 && this.#waiting.get(job) === ofJob) this.#waiting.delete(job);
      },
    };
  }

  wake(job: string): void {
    for (const wake of this.#waiting.get(job) ?? []) wake();
  }

  close(): void {
    this.isClosed = true;
    for (const job of this.#waiting.keys()) this.wake(job);
  }
}
