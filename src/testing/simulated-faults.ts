/** What goes wrong at a simulated provider: by chance, at all times or within a window. */
import type { Random } from '../core/random.ts';

/**
 * - `rate_limit`: 429 although there was room
 * - `server_error`, `overloaded`: 500 and 503, or `status`
 * - `refused`: no connection; `reset`: the connection breaks before the answer
 * - `silence`: nothing ever comes
 * - `stall`, `cut`: half of the answer, then silence or a broken connection; a plain answer never comes or breaks
 * - `error_event`: an error where content should begin; a plain answer with status 200 holds an error
 * - `empty`: a whole answer with nothing in it
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
  /** The share of calls that it strikes. Default 1. */
  readonly probability?: number;
  /** From when, and until when, on the clock's line, in milliseconds. Default always. */
  readonly fromMs?: number;
  readonly untilMs?: number;
  /** Instead of the kind's own. */
  readonly status?: number;
  readonly message?: string;
  /** Strikes only requests whose id begins with this mark (`LoadKind.mark`): what one client provokes. Default all. */
  readonly onlyFor?: string;
  /** For `rate_limit` and the error statuses: the wait that the provider asks for, in milliseconds; absent: none is named. */
  readonly retryAfterMs?: number;
}

/** The first fault that strikes a call at this instant; null: none. Every fault in force draws once, so that faults don't shift each other's chance. */
export function strike(faults: readonly SimulatedFault[], now: number, random: Random, id = ''): SimulatedFault | null {
  let struck: SimulatedFault | null = null;
  for (const fault of faults) {
    const { probability = 1, fromMs = -Infinity, untilMs = Infinity } = fault;
    if (now < fromMs || now >= untilMs) continue;
    if (fault.onlyFor !== undefined && !id.startsWith(fault.onlyFor)) continue;
    if (random.next() < probability) struck ??= fault;
  }
  return struck;
}

/** True if every call at this instant fails, and fails fast. */
export function isDown(faults: readonly SimulatedFault[], now: number): boolean {
  return faults.some(({ kind, onlyFor, probability = 1, fromMs = -Infinity, untilMs = Infinity }) => {
    const isFast = kind === 'server_error' || kind === 'overloaded' || kind === 'refused' || kind === 'reset';
    return isFast && onlyFor === undefined && probability >= 1 && now >= fromMs && now < untilMs;
  });
}
