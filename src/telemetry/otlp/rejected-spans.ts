import type { Clock, Timer } from '../../core/clock.ts';
import type { Logger } from '../logs.ts';

/** The least time between two lines, in milliseconds. */
export const reportEveryMs = 60_000;
/** Longer messages of a collector are cut, in characters. */
const messageLengthMax = 500;

/** A collector accepted an export without some of its spans, or with a warning (OTLP: `partial_success`). */
export interface RejectedSpans {
  /** `spans` may be 0. Ignored after `close`. */
  count(spans: number, message: string): void;
  /** Logs what has not been logged. */
  close(): void;
}

/** Logs the first one at once, and the sum of the others once a minute with their last message. */
export function createRejectedSpans(clock: Clock, log: Logger): RejectedSpans {
  let rejected = 0;
  let exports = 0;
  let last = '';
  let timer: Timer | null = null;
  let isClosed = false;

  function report(): void {
    timer = null;
    if (exports === 0) return;
    const message = last === '' ? 'no reason given' : last.slice(0, messageLengthMax);
    const text =
      rejected > 0
        ? `the collector rejected ${rejected} ${rejected === 1 ? 'span' : 'spans'}`
        : 'the collector accepted spans with a warning';
    log.warn({ rejected, exports, error: message }, text);
    rejected = 0;
    exports = 0;
    if (!isClosed) timer = clock.schedule(reportEveryMs, report);
  }

  return {
    count(spans, message) {
      if (isClosed) return;
      rejected += spans;
      exports++;
      last = message;
      if (timer === null) report();
    },
    close() {
      isClosed = true;
      timer?.cancel();
      report();
    },
  };
}
