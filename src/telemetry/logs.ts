import { pino, type Logger as PinoLogger } from 'pino';
import type { Clock } from '../core/clock.ts';
import type { BreakwaterEvent } from '../core/events.ts';
import { LineQueue, type LineSink } from './line-queue.ts';
import { createFieldsWriter, endOf, levelOf, type LineLevel } from './log-lines.ts';
import { createLineRedact } from './redact.ts';

/** As `telemetry.logs.level` of the config. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** Bound on log lines that wait for the sink, in UTF-16 units; beyond it lines are dropped and counted. */
const logBufferLengthMax = 4 * 1024 * 1024;
/** Longest wait for the sink at flush and close. */
const logFlushTimeoutMs = 500;

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
  // Events are masked when they come and have few shapes: their lines are put together here, at half of what pino's passage costs.
  let levelMin = levelValueOf(options.level);
  const headOf = createHeadWriter(clock);
  const fieldsOf = createFieldsWriter();

  return {
    record(event) {
      const level = levelOf(event);
      if (pino.levels.values[level]! >= levelMin) queue.push(headOf(level) + fieldsOf(event) + endOf(event));
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

/** Begins a line; remembers how the last one of a level began, since many fall into one millisecond. */
function createHeadWriter(clock: Clock): (level: LineLevel) => string {
  let lastMs = Number.NaN;
  let lastLevel: LineLevel = 'info';
  let head = '';
  return (level) => {
    const now = clock.epochMs();
    if (now !== lastMs || level !== lastLevel) {
      lastMs = now;
      lastLevel = level;
      head = `{"level":"${level}","time":"${new Date(now).toISOString()}"`;
    }
    return head;
  };
}
