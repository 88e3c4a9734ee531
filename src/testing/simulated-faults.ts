/** Faults of a simulated provider: random, permanent or within a time window. */
import type { Random } from '../core/random.ts';

/**
 * - `rate_limit`: 429 although capacity was available
 * - `server_error`, `overloaded`: 500 and 503, or `status`
 * - `refused`: no connection; `reset`: the connection breaks before the response
 * - `silence`: no response ever
 * - `stall`, `cut`: half of the response, then silence or a broken connection; non-streaming: no response, or it breaks
 * - `error_event`: an error in place of the content; a non-streaming response with status 200 contains an error
 * - `empty`: a complete response without content
 * - `refusal`: 403 or `status`, with `message`: of a key, a balance or a scope
 */
export const SIMULATED_FAULT_KINDS = [
  'rate_limit',
  'server_error',
  'overloaded',
  'refused',
  'reset',
  'silence',
  'stall',
  'cut',
  'error_event',
  'empty',
  'refusal',
] as const;
export type SimulatedFaultKind = (typeof SIMULATED_FAULT_KINDS)[number];

export interface SimulatedFault {
  readonly kind: SimulatedFaultKind;
  /** Share of calls affected. Default 1. */
  readonly probability?: number;
  /** Start and end of the fault in clock time, in milliseconds. Default: always. */
  readonly fromMs?: number;
  readonly untilMs?: number;
  /** Overrides the status of the kind. */
  readonly status?: number;
  readonly message?: string;
  /** Affects only requests whose id starts with this mark (`LoadKind.mark`), to simulate a faulty client. Default: all. */
  readonly onlyFor?: string;
  /** Retry hint for `rate_limit` and the error statuses, in milliseconds. Default: none. */
  readonly retryAfterMs?: number;
}

/**
 * The first fault that applies to a call at this instant; null if none. Every active fault draws a random number, so
 * that faults do not affect each other's randomness.
 */
export function drawFault(faults: readonly SimulatedFault[], now: number, random: Random, id = ''): SimulatedFault | null {
  let drawn: SimulatedFault | null = null;
  for (const fault of faults) {
    const { probability = 1, fromMs = -Infinity, untilMs = Infinity } = fault;
    if (now < fromMs || now >= untilMs) continue;
    if (fault.onlyFor !== undefined && !id.startsWith(fault.onlyFor)) continue;
    if (random.next() < probability) drawn ??= fault;
  }
  return drawn;
}

/** True if every call at this instant fails fast. */
export function isDown(faults: readonly SimulatedFault[], now: number): boolean {
  return faults.some(({ kind, onlyFor, probability = 1, fromMs = -Infinity, untilMs = Infinity }) => {
    const isFast = kind === 'server_error' || kind === 'overloaded' || kind === 'refused' || kind === 'reset';
    return isFast && onlyFor === undefined && probability >= 1 && now >= fromMs && now < untilMs;
  });
}
