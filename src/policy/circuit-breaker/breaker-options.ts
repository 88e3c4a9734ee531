import type { Random } from '../../core/random.ts';

export interface BreakerOptions {
  /** The period over which the failure ratio is measured, in milliseconds. */
  readonly windowMs: number;
  readonly failureRatio: number;
  /** Fewer outcomes than this in the window never open the breaker by ratio. */
  readonly minRequests: number;
  readonly consecutiveFailures: number;
  /** The first open time, in milliseconds; each failed probe doubles it. */
  readonly openForMs: number;
  readonly maxOpenForMs: number;
  /** Concurrent attempts admitted while half-open. */
  readonly probes: number;
}

/** Open times are lengthened at random by up to this share, so that many instances do not probe in step. */
const JITTER = 0.2;

export function drawJitter(random: Random): number {
  return 1 + JITTER * random.next();
}

/** The open time after this many consecutive openings, in milliseconds. */
export function grownOpenMs({ openForMs, maxOpenForMs }: BreakerOptions, openings: number): number {
  return Math.min(maxOpenForMs, openForMs * 2 ** (openings - 1));
}
