import type { Instant } from '../../core/clock.ts';
import type { AttemptOptions } from './attempt-options.ts';

/** A stream that its caller does not read does not count towards the learned concurrency limit. */
export function setUnread({ target, permit }: AttemptOptions, now: Instant, isUnread: boolean): void {
  if (!permit.isOpen) return;
  const { concurrency } = target.state;
  concurrency.setUnread(now, permit.ticketOf(concurrency) ?? 0, isUnread);
}
