/**
 * How long this process stood still. Gateway, Storm and callers share its event loop in most tests: while it stands still, a call that has left
 * is not counted by Storm, and callers send and receive nothing. A rate limit allows for a provider that counts up to 100 ms later; on a busy
 * machine a process stands still for longer, and what was sent within the limit then arrives at once.
 */
import type { TestContext } from 'node:test';
import { guardMs } from '../../src/policy/rate-limiter/token-bucket.ts';

const LOOK_MS = 5;
const MINUTE_MS = 60_000;

export interface Stalls {
  /** The sum of all stalls so far, in milliseconds; those below 100 ms do not count. */
  stalledMs(): number;
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
  const total = (): number => (look(), stalledMs);
  return { stalledMs: total, excessOf: (requestsPerMinute) => Math.floor((total() * requestsPerMinute) / MINUTE_MS) };
}
