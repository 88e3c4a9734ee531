/**
 * A clock that moves only when it is advanced. Timers run in order of their instants, and in scheduling order at equal
 * instants, so that tests and simulations are reproducible.
 */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import { createTimerHeap, type HeapEntry } from './timer-heap.ts';

/** More tasks than this at one instant indicate an endless loop of zero delays. */
const tasksPerInstantMax = 1_000_000;

export interface ManualClockOptions {
  /** Initial value of `now()`, in milliseconds. Default 0. */
  now?: Instant;
  /** Initial value of `epochMs()`. Default 2025-01-01T00:00:00Z. */
  epochMs?: number;
}

export interface ManualClock extends Clock {
  /**
   * Advances time by `durationMs` (0 or more) and runs every timer that becomes due, at its own instant. Promises that
   * timers resolve continue only after the call. A task that throws ends the call at that task's instant.
   */
  advance(durationMs: number): void;
  /** Like `advance`, but lets promises and immediates run before the first timer, after each timer, and at the end. */
  advanceAsync(durationMs: number): Promise<void>;
  /**
   * Advances from timer to timer, letting promises run in between, until `isSo`, at most to `giveUpAt`. Returns false
   * if the condition never held or no timer is left.
   */
  runUntil(isSo: () => boolean, giveUpAt: Instant): Promise<boolean>;
  /** Moves only the wall clock, as an operator or NTP does. May be negative. */
  shiftEpoch(durationMs: number): void;
  /** Number of pending timers. */
  readonly pendingTimers: number;
  /** Instant of the next timer. */
  readonly nextTimerAt: Instant | undefined;
}

export function createManualClock(options: ManualClockOptions = {}): ManualClock {
  const startedAt = options.now ?? 0;
  let now = startedAt;
  let epochAtStart = options.epochMs ?? Date.UTC(2025, 0, 1);
  let sequence = 0;
  const timers = createTimerHeap();

  function takeDue(until: Instant): HeapEntry | undefined {
    const next = timers.peek();
    if (next === undefined || next.dueAt > until) return undefined;
    timers.remove(next);
    now = Math.max(now, next.dueAt);
    return next;
  }

  return {
    now: () => now,
    epochMs: () => Math.floor(epochAtStart + now - startedAt),
    schedule(delayMs, task): Timer {
      if (Number.isNaN(delayMs)) throw new RangeError('delayMs is not a number');
      const entry: HeapEntry = { dueAt: now + Math.max(0, delayMs), sequence: sequence++, task, place: -1 };
      timers.push(entry);
      return { cancel: () => timers.remove(entry) };
    },
    advance(durationMs) {
      const until = instantAfter(now, durationMs);
      const guard = createLoopGuard();
      for (let due = takeDue(until); due !== undefined; due = takeDue(until)) {
        guard(now);
        due.task();
      }
      now = until;
    },
    async advanceAsync(durationMs) {
      const until = instantAfter(now, durationMs);
      const guard = createLoopGuard();
      await settled();
      for (let due = takeDue(until); due !== undefined; due = takeDue(until)) {
        guard(now);
        due.task();
        await settled();
      }
      now = until;
    },
    runUntil(isSo, giveUpAt) {
      const guard = createLoopGuard();
      return inTurns((isFirst) => {
        if (isSo()) return true;
        const due = takeDue(giveUpAt);
        if (due === undefined) return isFirst ? false : null;
        guard(now);
        due.task();
        return null;
      });
    },
    shiftEpoch(durationMs) {
      epochAtStart += durationMs;
    },
    get pendingTimers() {
      return timers.size;
    },
    get nextTimerAt() {
      return timers.peek()?.dueAt;
    },
  };
}

function instantAfter(now: Instant, durationMs: number): Instant {
  if (!(durationMs >= 0) || durationMs === Infinity) {
    throw new RangeError(`time cannot advance by ${durationMs} ms`);
  }
  return now + durationMs;
}

function createLoopGuard(): (now: Instant) => void {
  let at = -Infinity;
  let count = 0;
  return (now) => {
    count = now === at ? count + 1 : 0;
    at = now;
    if (count > tasksPerInstantMax) throw new Error(`timers never stop at instant ${now}`);
  };
}

/** An immediate runs after all promise continuations. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A turn of the event loop costs as much as the work of a timer in a simulation, so turns are shared. */
const STEPS_PER_TURN = 64;

/**
 * Calls `step` until it returns a value other than null, each time in its own immediate, so that promises continue in
 * between. `isFirst`: immediates of other code have run as well.
 */
function inTurns<T>(step: (isFirst: boolean) => T | null): Promise<T> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    let left = 0;
    const run = (): void => {
      if (isOver) return;
      try {
        const result = step(left === STEPS_PER_TURN);
        if (result !== null) {
          isOver = true;
          return resolve(result);
        }
      } catch (error) {
        isOver = true;
        return reject(error);
      }
      if (--left === 0) turn();
    };
    const turn = (): void => {
      left = STEPS_PER_TURN;
      for (let i = 0; i < STEPS_PER_TURN; i++) setImmediate(run);
    };
    turn();
  });
}
