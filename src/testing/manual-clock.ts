/**
 * A clock that moves only when told to. Timers run in order of their instant, and in order of arrival where
 * instants are equal, so that a test or a simulation gives the same story every time.
 */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import { createTimerHeap, type HeapEntry } from './timer-heap.ts';

/** More tasks than this at one instant means that something reschedules itself with no delay for ever. */
const tasksPerInstantMax = 1_000_000;

export interface ManualClockOptions {
  /** The first `now()`, in milliseconds. Default 0. */
  now?: Instant;
  /** The first `epochMs()`. Default 2025-01-01T00:00:00Z. */
  epochMs?: number;
}

export interface ManualClock extends Clock {
  /**
   * Moves time on by `durationMs` (0 or more) and runs every timer that falls due, at its own instant. Promises that
   * they resolve are continued only after the call. A task that throws ends the call at that task's instant.
   */
  advance(durationMs: number): void;
  /** As `advance`, but lets promises and immediates run before the first timer, after each one, and at the end. */
  advanceAsync(durationMs: number): Promise<void>;
  /** Lets promises run between timers, and goes from timer to timer until `isSo`, at `giveUpAt` at the latest. False: it was not so until then, or no timer is left. */
  runUntil(isSo: () => boolean, giveUpAt: Instant): Promise<boolean>;
  /** Moves the wall clock alone, as when an operator or NTP sets it. May be negative. */
  shiftEpoch(durationMs: number): void;
  /** How many timers wait to run. */
  readonly pendingTimers: number;
  /** When the next timer falls due. */
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

/** An immediate runs when no promise continuation is left. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A turn of the event loop costs as much as what a timer does in a simulation; so many share one. */
const STEPS_PER_TURN = 64;

/**
 * Calls `step` until it gives something else than null, each time as an immediate of its own, so that promises are continued in
 * between. `isFirst`: other people's immediates have run too.
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
