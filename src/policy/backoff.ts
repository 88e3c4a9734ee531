import type { Random } from '../core/random.ts';

export interface BackoffOptions {
  /** Upper bound of the first delay, in milliseconds. */
  readonly baseDelayMs: number;
  /** Upper bound of any delay, in milliseconds. */
  readonly maxDelayMs: number;
}

/** Exponential backoff with full jitter: uniform in [0, min(max, base · 2ⁿ⁻¹)], where n counts the retries from 1. */
export function fullJitter(options: BackoffOptions, repeat: number, random: Random): number {
  return random.next() * Math.min(options.maxDelayMs, options.baseDelayMs * 2 ** (repeat - 1));
}

/**
 * The same with equal jitter, in the upper half of that range: for a pause that many requests share, where a delay near zero is useless.
 */
export function equalJitter(options: BackoffOptions, repeat: number, random: Random): number {
  return (0.5 + random.next() / 2) * Math.min(options.maxDelayMs, options.baseDelayMs * 2 ** (repeat - 1));
}
