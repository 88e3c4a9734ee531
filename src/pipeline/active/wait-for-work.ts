import type { ActiveRequest } from './active-request.ts';

/** The outcome of work that a request waits for: its result, a timeout, the end of the request, or an error. */
export type Waited<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'late' | 'left' }
  | { readonly kind: 'thrown'; readonly error: unknown };

/** Waits for `work` until `limitMs` have passed or the request is over. A later result is ignored. */
export function waitForWork<T>(active: ActiveRequest, work: Promise<T>, limitMs: number): Promise<Waited<T>> {
  return new Promise((resolve) => {
    const timer = active.engine.clock.schedule(Math.max(0, limitMs), () => end({ kind: 'late' }));
    const wake = (): void => end({ kind: 'left' });
    const end = (waited: Waited<T>): void => {
      timer.cancel();
      // Work that ends late must not clear a later wait.
      if (active.wake === wake) active.wake = null;
      resolve(waited);
    };
    if (active.isOver) wake();
    else active.wake = wake;
    work.then(
      (value) => end({ kind: 'done', value }),
      (error: unknown) => end({ kind: 'thrown', error }),
    );
  });
}
