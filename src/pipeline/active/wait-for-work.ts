import type { ActiveRequest } from './active-request.ts';

/** Work that takes its time, on behalf of a request: what it says, why it says nothing, or that nobody waits for it any more. */
export type Waited<T> =
  | { readonly kind: 'said'; readonly value: T }
  | { readonly kind: 'late' | 'left' }
  | { readonly kind: 'thrown'; readonly error: unknown };

/** Waits for `work`, but no longer than `limitMs`, and not for one who has left. What comes after that changes nothing. */
export function waitForWork<T>(active: ActiveRequest, work: Promise<T>, limitMs: number): Promise<Waited<T>> {
  return new Promise((resolve) => {
    const timer = active.engine.clock.schedule(Math.max(0, limitMs), () => end({ kind: 'late' }));
    const wake = (): void => end({ kind: 'left' });
    const end = (waited: Waited<T>): void => {
      timer.cancel();
      // Work that ends too late must not undo what the request waits for by then.
      if (active.wake === wake) active.wake = null;
      resolve(waited);
    };
    if (active.isOver) wake();
    else active.wake = wake;
    work.then(
      (value) => end({ kind: 'said', value }),
      (error: unknown) => end({ kind: 'thrown', error }),
    );
  });
}
