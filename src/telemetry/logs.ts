import { pino, type Logger as PinoLogger } from 'pino';
import type { Clock } from '../core/clock.ts';
import type { BreakwaterEvent } from '../core/events.ts';
import { LineQueue, type LineSink } from './line-queue.ts';
import { createFieldsWriter, endOf, levelOf, type LineLevel } from './log-lines.ts';
import { createLineRedact } from './redact.ts';

/** As `telemetry.logs.level` of the config. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** Limit of queued log lines, in UTF-16 units; beyond it lines are dropped and counted. */
const logBufferLengthMax = 4 * 1024 * 1024;
/** Maximum wait for the sink at flush and close. */
const logFlushTimeoutMs = 500;

/** For messages that are not events, as in pino: `log.warn('…')` or `log.warn({ field }, '…')`. Complete lines are masked, so not for hot paths. */
export type Logger = Pick<PinoLogger, LineLevel>;

export interface LogsOptions {
  /** Default `info`. */
  readonly level: LogLevel;
  readonly sink: LineSink;
  readonly clock: Clock;
  /** Configured keys, masked everywhere. */
  readonly secrets: readonly string[];
}

/** JSON lines: one for each ended attempt and each finished request, with the request's id; more at `debug`. */
export interface Logs {
  /** Logs a cleaned event. `epochMs`: the current wall clock time. */
  record(event: BreakwaterEvent, epochMs: number): void;
  readonly log: Logger;
  /** Number of lost lines. */
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
  const log = pino(
    {
      level: options.level,
      base: null,
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date(clock.epochMs()).toISOString()}"`,
      hooks: { streamWrite: (line) => redactLine(line) },
    },
    { write: (line: string) => void queue.push(line) },
  );
  // Events are masked on arrival and have few shapes: their lines are built here, at half of pino's cost.
  let levelMin = levelValueOf(options.level);
  const headOf = createHeadWriter();
  const fieldsOf = createFieldsWriter();

  return {
    record(event, epochMs) {
      const level = levelOf(event);
      if (pino.levels.values[level]! >= levelMin) queue.push(headOf(level, epochMs) + fieldsOf(event) + endOf(event));
    },
    log,
    get dropped() {
      return queue.dropped;
    },
    update({ level, secrets }) {
      if (level !== undefined) levelMin = levelValueOf((log.level = level));
      if (secrets !== undefined) redactLine = createLineRedact(secrets);
    },
    flush: () => queue.flush(logFlushTimeoutMs),
    close: () => queue.close(logFlushTimeoutMs),
  };
}

function levelValueOf(level: LogLevel): number {
  return pino.levels.values[level] ?? Infinity;
}

/** The beginning of a line; cached per level, since many lines have the same millisecond. */
function createHeadWriter(): (level: LineLevel, epochMs: number) => string {
  let lastMs = Number.NaN;
  let lastLevel: LineLevel = 'info';
  let head = '';
  return (level, epochMs) => {
    if (epochMs !== lastMs || level !== lastLevel) {
      lastMs = epochMs;
      lastLevel = level;
      head = `{"level":"${level}","time":"${new Date(epochMs).toISOString()}"`;
    }
    return head;
  };
}
