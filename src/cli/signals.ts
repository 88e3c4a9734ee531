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

/** Sets what signals do, once the gateway is up. */
export type OnSignals = (actions: SignalActions, clock: Clock) => void;

/**
 * Handles signals from now on: process 1 of a container ignores those without a handler. Until the gateway is up, SIGTERM and SIGINT end the
 * process at once, since nothing runs yet, and SIGHUP takes effect later. Then SIGTERM and SIGINT shut the process down gracefully in bounded
 * time, a second one at once; SIGHUP reloads the config.
 */
export function catchSignals(): OnSignals {
  let onStop: (signal: 'SIGTERM' | 'SIGINT') => void = () => process.exit(0);
  let onHangUp: () => void = () => void (hungUp = true);
  let hungUp = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => onStop(signal));
  process.on('SIGHUP', () => onHangUp());
  return ({ stop, drainTimeoutMs, hangUp, onCrash }, clock) => {
    let stopping = false;
    const crash = (error: unknown): void => {
      void onCrash(error).finally(() => process.exit(1));
    };
    onStop = (signal) => {
      if (stopping) process.exit(128 + constants.signals[signal]);
      stopping = true;
      clock.schedule(drainTimeoutMs() + stopExtraMs, () => process.exit(1));
      stop().then(() => process.exit(0), crash);
    };
    onHangUp = hangUp;
    process.on('uncaughtException', crash);
    if (hungUp) hangUp();
  };
}
