/**
 * How long this process stood still. Gateway and Storm share its event loop in most tests: a call that has left is counted by Storm only when
 * the loop runs again. A rate limit allows for a provider that counts up to 100 ms later; on a busy machine a process stands still for longer,
 * and what was sent within the limit then arrives at once.
 */
import type { TestContext } from 'node:test';
import { guardMs } from '../../src/policy/rate-limiter/token-bucket.ts';

const LOOK_MS = 5;
const MINUTE_MS = 60_000;

export interface Stalls {
  /** The most starts that a provider may count beyond a limit of so many a minute, because of stalls so far: 0 if there was none. */
  excessOf(requestsPerMinute: number): number;
}

/** Watches until the test ends. */
export function watchStalls(t: Pick<TestContext, 'after'>): Stalls {
  let stalledMs = 0;
  let lookedAt = performance.now();
  const look = (): void => {
    const gapMs = performance.now() - lookedAt;
    lookedAt += gapMs;
    if (gapMs >= guardMs(MINUTE_MS)) stalledMs += gapMs;
  };
  const timer = setInterval(look, LOOK_MS);
  t.after(() => clearInterval(timer));
  return {
    excessOf(requestsPerMinute) {
      look();
      return Math.floor((stalledMs * requestsPerMinute) / MINUTE_MS);
    },
  };
}
