import type { Clock, Timer } from '../core/clock.ts';
import type { Logger } from './logs.ts';

/** Maximum number of log lines for rejected requests per second; the rest is counted in one line. */
const linesPerSecondMax = 20;
const windowMs = 1_000;

export interface RejectionGate {
  /** Whether the next rejected request is logged. */
  admits(): boolean;
  /** Logs the number of the others now. */
  close(): void;
}

/** Rate-limits log lines of rejected requests, which any caller can cause. */
export function createRejectionGate(clock: Clock, log: Logger): RejectionGate {
  let windowStart = -Infinity;
  let lines = 0;
  let suppressed = 0;
  let timer: Timer | null = null;

  function summarize(): void {
    timer?.cancel();
    timer = null;
    if (suppressed > 0) log.warn({ suppressed }, `${suppressed} more requests were rejected and not logged`);
    suppressed = 0;
  }

  return {
    admits() {
      const now = clock.now();
      if (now - windowStart >= windowMs) {
        summarize();
        windowStart = now;
        lines = 0;
      }
      if (lines < linesPerSecondMax) {
        lines++;
        return true;
      }
      suppressed++;
      timer ??= clock.schedule(windowStart + windowMs - now, summarize);
      return false;
    },
    close: summarize,
  };
}
