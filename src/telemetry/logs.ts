import { pino, type Logger as PinoLogger } from 'pino';
import type { Clock } from '../core/clock.ts';
import type { BreakwaterEvent } from '../core/events.ts';
import { LineQueue, type LineSink } from './line-queue.ts';
import { fieldsOf, levelOf, messageOf, type LineLevel } from './log-lines.ts';
import { createLineRedact } from './redact.ts';

/** As `telemetry.logs.level` of the config. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** Bound on log lines that wait for the sink, in UTF-16 units; beyond it lines are dropped and counted. */
const logBufferLengthMax = 4 * 1024 * 1024;
/** Longest wait for the sink at flush and close. */
const logFlushTimeoutMs = 1_000;

/** For what is no event: as pino's, `log.warn('…')` or `log.warn({ field }, '…')`. Whole lines are masked, so it is not for hot paths. */
export type Logger = Pick<PinoLogger, LineLevel>;

export interface LogsOptions {
  /** Default `info`. */
  readonly level: LogLevel;
  readonly sink: LineSink;
  readonly clock: Clock;
  /** Configured keys, masked wherever they stand. */
  readonly secrets: readonly string[];
}

/** JSON lines: one for each attempt that ended and each request that finished, both with the request's id; more at `debug`. */
export interface Logs {
  /** Takes a cleaned event. */
  record(event: BreakwaterEvent): void;
  readonly log: Logger;
  /** Lines lost so far. */
  readonly dropped: number;
  update(change: { level?: LogLevel; secrets?: readonly string[] }): void;
  flush(): Promise<void>;
  close(): Promise<void>;
}

export function createLogs(options: LogsOptions): Logs {
  const { clock, sink } = options;
  const queue = new LineQueue({
    sink,
    clock,
    bufferedLengthMax: logBufferLengthMax,
    onRecovered: (dropped) => log.warn({ dropped }, `dropped ${dropped} log lines`),
  });
  let redactLine = createLineRedact(options.secrets);
  const stream = { write: (line: string) => void queue.push(line) };
  /** The fields of the event that is being written. */
  let fields = '';
  const settings = { level: options.level, base: null, formatters: { level: (label: string) => ({ level: label }) } };
  // pino writes what `timestamp` gives as it stands, between the level and the message: the cheapest way in for fields that are JSON already.
  const events = pino({ ...settings, timestamp: () => `,"time":${clock.epochMs()}${fields}` }, stream);
  const log = pino(
    { ...settings, timestamp: () => `,"time":${clock.epochMs()}`, hooks: { streamWrite: (line: string) => redactLine(line) } },
    stream,
  );

  return {
    record(event) {
      const level = levelOf(event);
      if (!events.isLevelEnabled(level)) return;
      fields = fieldsOf(event);
      events[level](messageOf(event));
    },
    log,
    get dropped() {
      return queue.dropped;
    },
    update({ level, secrets }) {
      if (level !== undefined) events.level = log.level = level;
      if (secrets !== undefined) redactLine = createLineRedact(secrets);
    },
    flush: () => queue.flush(logFlushTimeoutMs),
    close: () => queue.close(logFlushTimeoutMs),
  };
}
