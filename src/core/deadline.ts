import type { Instant } from './clock.ts';

/** Milliseconds left until `deadline`, never below zero. */
export function remainingMs(now: Instant, deadline: Instant): number {
  return deadline > now ? deadline - now : 0;
}

/** `timeoutMs` cut to what remains of the deadline. */
export function cutTimeout(timeoutMs: number, now: Instant, deadline: Instant): number {
  return Math.min(timeoutMs, remainingMs(now, deadline));
}
