import { constants } from 'node:os';
import type { Clock } from '../core/clock.ts';

/** Extra time after the drain timeout, in milliseconds, before the process is forced to exit. */
const stopExtraMs = 4_900;

export interface SignalActions {
  /** Graceful shutdown; the process then exits with 0. */
  readonly stop: () => Promise<void>;
  /** Time for requests to finish after the signal, in milliseconds. */
  readonly drainTimeoutMs: () => number;
  readonly hangUp: () => void;
  /** Logs an uncaught error before the process exits with 1. */
  readonly onCrash: (error: unknown) => Promise<void>;
}

/** SIGTERM and SIGINT shut the process down gracefully in bounded time, a second one at once; SIGHUP reloads the config. */
export function onSignals({ stop, drainTimeoutMs, hangUp, onCrash }: SignalActions, clock: Clock): void {
  let stopping = false;
  const crash = (error: unknown): void => {
    void onCrash(error).finally(() => process.exit(1));
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(128 + constants.signals[signal]);
      stopping = true;
      clock.schedule(drainTimeoutMs() + stopExtraMs, () => process.exit(1));
      stop().then(() => process.exit(0), crash);
    });
  }
  process.on('SIGHUP', hangUp);
  process.on('uncaughtException', crash);
}
