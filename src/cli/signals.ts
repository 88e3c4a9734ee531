import { constants } from 'node:os';

export interface SignalActions {
  /** The orderly end; the process exits with 0 after it. */
  readonly stop: () => Promise<void>;
  readonly hangUp: () => void;
  /** Something threw that nobody catches: told before the process ends with 1. */
  readonly onCrash: (error: unknown) => Promise<void>;
}

/** SIGTERM and SIGINT end the process in order, a second one at once; SIGHUP reads the config again. */
export function onSignals({ stop, hangUp, onCrash }: SignalActions): void {
  let stopping = false;
  const crash = (error: unknown): void => {
    void onCrash(error).finally(() => process.exit(1));
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(128 + constants.signals[signal]);
      stopping = true;
      stop().then(() => process.exit(0), crash);
    });
  }
  process.on('SIGHUP', hangUp);
  process.on('uncaughtException', crash);
}
