import type { Random } from '../core/random.ts';

export interface BackoffOptions {
  /** Upper bound of the first delay, in milliseconds. */
  readonly baseDelayMs: number;
  /** No delay is longer, in milliseconds. */
  readonly maxDelayMs: number;
}

/** Exponential backoff with full jitter: anywhere in [0, min(max, base · 2ⁿ⁻¹)], where n counts the repeats from 1. */
export function fullJitter(options: BackoffOptions, repeat: number, random: Random): number {
  return random.next() * Math.min(options.maxDelayMs, options.baseDelayMs * 2 ** (repeat - 1));
}

/** As above but in the upper half: for a pause shared by many, where a delay near zero would help nobody. */
export function equalJitter(options: BackoffOptions, repeat: number, random: Random): number {
  return (0.5 + random.next() / 2) * Math.min(options.maxDelayMs, options.baseDelayMs * 2 ** (repeat - 1));
}
