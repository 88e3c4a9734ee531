/**
 * The source of time. Everything that waits or measures takes a Clock, so that tests and the simulator can control time. The system
 * clock is created in `gateway/system-clock.ts` only.
 */

/** An instant of the monotonic clock, in milliseconds. Only differences are meaningful. */
export type Instant = number;

export interface Timer {
  /** Cancels the timer; no effect if it has run or was cancelled. */
  cancel(): void;
}

export interface Clock {
  /** The current monotonic instant, in milliseconds with fractions. */
  now(): Instant;
  /** Milliseconds since the Unix epoch: for dates in headers, logs and stored state, never for durations. */
  epochMs(): number;
  /** Runs `task` once, no earlier than `delayMs` from now. A delay of 0 or less runs as soon as possible, never synchronously. */
  schedule(delayMs: number, task: () => void): Timer;
}
