/** The system clock: the only place that reads the real time. */
import type { Clock, Timer } from '../core/clock.ts';

/** Node.js treats a longer delay as 1 ms, so longer delays are split. */
const timeoutDelayMaxMs = 2 ** 31 - 1;

/** Timers keep the process alive until they run or are cancelled. */
export const systemClock: Clock = {
  now: () => performance.now(),
  epochMs: () => Date.now(),
  schedule(delayMs, task) {
    if (Number.isNaN(delayMs)) throw new RangeError('delayMs is not a number');
    return delayMs > 0 ? new LaterTimer(delayMs, task) : new SoonTimer(task);
  },
};

class SoonTimer implements Timer {
  readonly #immediate: NodeJS.Immediate;

  constructor(task: () => void) {
    this.#immediate = setImmediate(task);
  }

  cancel(): void {
    clearImmediate(this.#immediate);
  }
}

class LaterTimer implements Timer {
  readonly #dueAt: number;
  readonly #task: () => void;
  #timeout: NodeJS.Timeout;

  constructor(delayMs: number, task: () => void) {
    this.#dueAt = performance.now() + delayMs;
    this.#task = task;
    this.#timeout = setTimeout(ring, timeoutDelayOf(delayMs), this);
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }

  ring(): void {
    // Node.js counts from the start of the event-loop turn, so a timer may fire up to a millisecond early.
    const now = performance.now();
    if (now < this.#dueAt) this.#timeout = setTimeout(ring, timeoutDelayOf(this.#dueAt - now), this);
    else this.#task();
  }
}

function ring(timer: LaterTimer): void {
  timer.ring();
}

function timeoutDelayOf(delayMs: number): number {
  return Math.min(Math.max(1, Math.ceil(delayMs)), timeoutDelayMaxMs);
}
