import type { Random } from '../../core/random.ts';

export interface BreakerOptions {
  /** The stretch over which the failure ratio is taken, in milliseconds. */
  readonly windowMs: number;
  readonly failureRatio: number;
  /** The ratio says nothing before this many outcomes. */
  readonly minRequests: number;
  readonly consecutiveFailures: number;
  /** How long it opens the first time; doubles with every failed probe, in milliseconds. */
  readonly openForMs: number;
  readonly maxOpenForMs: number;
  /** Attempts let through at once while half-open. */
  readonly probes: number;
}

/** Open times are longer by up to this share, so that many instances don't probe in step. */
const JITTER = 0.2;

export function drawJitter(random: Random): number {
  return 1 + JITTER * random.next();
}

/** The open time after so many openings in a row, in milliseconds. */
export function grownOpenMs({ openForMs, maxOpenForMs }: BreakerOptions, openings: number): number {
  return Math.min(maxOpenForMs, openForMs * 2 ** (openings - 1));
}
