import type { Instant } from '../core/clock.ts';
import type { Attempt } from './attempt.ts';

/** A stream that its caller does not read holds no learned place at its target. */
export function setUnread({ options }: Attempt, now: Instant, isUnread: boolean): void {
  const { target, permit } = options;
  if (!permit.isOpen) return;
  const { concurrency } = target.state;
  concurrency.setUnread(now, permit.ticketOf(concurrency) ?? 0, isUnread);
}
