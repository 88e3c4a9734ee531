import { constants } from 'node:os';
import type { Clock } from '../core/clock.ts';

/** Beyond the drain timeout, in milliseconds: then the process ends whatever hangs. */
const stopExtraMs = 4_900;

export interface SignalActions {
  /** The orderly end; the process exits with 0 after it. */
  readonly stop: () => Promise<void>;
  /** How long requests may go on after the signal, in milliseconds. */
  readonly drainTimeoutMs: () => number;
  readonly hangUp: () => void;
  /** Something threw that nobody catches: logged before the process ends with 1. */
  readonly onCrash: (error: unknown) => Promise<void>;
}

/** SIGTERM and SIGINT end the process in order and in bounded time, a second one at once; SIGHUP reads the config again. */
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
