/** The real time. Made here and nowhere else. */
import type { Clock, Timer } from '../core/clock.ts';

/** Node takes a longer delay for 1 ms, so longer ones are waited for in pieces. */
const timeoutDelayMaxMs = 2 ** 31 - 1;

/** Timers keep the process alive until they run or are cancelled. */
export const systemClock: Clock = {
  now: () => performance.now(),
  epochMs: () => Date.now(),
  schedule(delayMs, task) {
    if (Number.isNaN(delayMs)) throw new RangeError('delayMs is not a number');
    return delayMs > 0 ? scheduleAt(performance.now() + delayMs, task) : scheduleSoon(task);
  },
};

function scheduleSoon(task: () => void): Timer {
  const immediate = setImmediate(task);
  return { cancel: () => clearImmediate(immediate) };
}

function scheduleAt(dueAt: number, task: () => void): Timer {
  let timeout = setTimeout(onTimeout, delayUntil(dueAt));

  function onTimeout(): void {
    // Node counts from the start of the loop's turn, and so may be early by some of a millisecond.
    if (performance.now() < dueAt) timeout = setTimeout(onTimeout, delayUntil(dueAt));
    else task();
  }

  return { cancel: () => clearTimeout(timeout) };
}

function delayUntil(dueAt: number): number {
  return Math.min(Math.ceil(dueAt - performance.now()), timeoutDelayMaxMs);
}
