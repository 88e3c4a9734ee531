/**
 * Time as the engine sees it. Everything that waits or measures takes a Clock, so that tests and the
 * simulator can drive time by hand. The real one is made in `gateway/system-clock.ts` and nowhere else.
 */

/** An instant on the clock's own monotonic line, in milliseconds. Only differences have a meaning. */
export type Instant = number;

export interface Timer {
  /** Takes the timer back; a timer that has run or was cancelled stays as it is. */
  cancel(): void;
}

export interface Clock {
  /** The monotonic instant now, in milliseconds with fractions. */
  now(): Instant;
  /** Milliseconds since the Unix epoch: for dates in headers, logs and stored state, never for durations. */
  epochMs(): number;
  /** Runs `task` once, no earlier than `delayMs` from now. A delay of 0 or less runs as soon as possible, never at once. */
  schedule(delayMs: number, task: () => void): Timer;
}
