/**
 * System time of Storm. Storm runs as a separate process or beside the gateway in a test, so only this file accesses
 * the real clock; all other files take a Clock.
 */
import type { Clock } from '../core/clock.ts';

/** The system clock. */
export function createStormClock(): Clock {
  return {
    now: () => performance.now(),
    epochMs: () => Date.now(),
    schedule(delayMs, task) {
      const timer = setTimeout(task, Math.max(0, delayMs));
      return { cancel: () => clearTimeout(timer) };
    },
  };
}

/** Runs `task` after the next event-loop turn, when written data has reached the socket. */
export function nextTurn(task: () => void): void {
  setImmediate(task);
}
