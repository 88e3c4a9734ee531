/** The orderly end: refuse what is new, let what runs end, break off what does not, within a bounded time. */
import type { Clock } from '../core/clock.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { App } from './app.ts';
import type { Listener } from './listener.ts';

/** For readers that don't take the rest of their answer, once everything has been said to them. */
const flushTimeoutMs = 2000;
/** After `timeoutMs`, for the engine and the store to close: a disk that hangs must not hold up the end. */
const closeTimeoutMs = 2500;
/** After `timeoutMs`, for all of it. Telemetry is closed after it, and the process has 5 s. */
const endTimeoutMs = 3500;

export interface DrainParts {
  readonly app: App;
  readonly gateway: Gateway;
  /** Null: in process only. */
  readonly listener: Listener | null;
  readonly clock: Clock;
  /** How long running requests may go on, in milliseconds. */
  readonly timeoutMs: number;
}

/** Resolves when nothing runs any more and every connection is closed. Never rejects for a request's sake. */
export async function drain({ app, gateway, listener, clock, timeoutMs }: DrainParts): Promise<void> {
  const startedAt = clock.now();
  const leftMs = (afterMs: number): number => Math.max(0, startedAt + timeoutMs + afterMs - clock.now());
  app.startDraining();
  listener?.windDown();
  await within(clock, timeoutMs, gateway.drain());
  const closed = listener?.close();
  await within(clock, leftMs(closeTimeoutMs), gateway.close());
  if (listener === null || closed === undefined) return;
  await within(clock, Math.min(flushTimeoutMs, leftMs(endTimeoutMs)), closed);
  listener.destroy();
  await closed;
}

/** Resolves when `task` is over, or after `timeoutMs`. */
function within(clock: Clock, timeoutMs: number, task: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(timeoutMs, resolve);
    task.finally(() => timer.cancel()).then(resolve, reject);
  });
}
