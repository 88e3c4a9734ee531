/** A clock for tests with long pauses over real sockets. */
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';

/** Runs `factor` times as fast as the system clock. */
export function fastClock(factor: number): Clock {
  const startedAt = systemClock.epochMs();
  return {
    now: () => systemClock.now() * factor,
    epochMs: () => startedAt + (systemClock.epochMs() - startedAt) * factor,
    schedule: (delayMs, task) => systemClock.schedule(delayMs / factor, task),
  };
}
