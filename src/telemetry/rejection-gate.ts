import type { Clock } from '../core/clock.ts';
import type { Logger } from './logs.ts';

/** Maximum number of log lines for rejected requests per second; the rest is counted in one line. */
const linesPerSecondMax = 20;
const windowMs = 1_000;

/** Rate-limits log lines of rejected requests, which any caller can cause. */
export function createRejectionGate(clock: Clock, log: Logger): { admits(): boolean } {
  let windowStart = -Infinity;
  let lines = 0;
  let suppressed = 0;
  return {
    admits() {
      const now = clock.now();
      if (now - windowStart >= windowMs) {
        if (suppressed > 0) log.warn({ suppressed }, `${suppressed} more requests were rejected and not logged`);
        windowStart = now;
        lines = 0;
        suppressed = 0;
      }
      if (lines < linesPerSecondMax) {
        lines++;
        return true;
      }
      suppressed++;
      return false;
    },
  };
}
