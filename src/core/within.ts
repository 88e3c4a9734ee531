import type { Clock } from './clock.ts';

/** Resolves when `task` resolves, or after `timeoutMs`; rejects if `task` rejects before that. */
export function within(clock: Clock, timeoutMs: number, task: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(timeoutMs, resolve);
    task.finally(() => timer.cancel()).then(resolve, reject);
  });
}
