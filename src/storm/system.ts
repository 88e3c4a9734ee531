/**
 * Storm's own time. Storm is a process of its own (or stands beside the gateway in a test), so this one file owns the
 * real clock; everything else in the folder takes a Clock.
 */
import type { Clock } from '../core/clock.ts';

/** The real clock of the machine that Storm runs on. */
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

/** Runs `task` once the event loop has turned and what was written has left for the socket. */
export function nextTurn(task: () => void): void {
  setImmediate(task);
}
