/** Client-side retries as in the official SDKs, which Breakwater meets in practice. */
import type { SimulatedCaller } from './simulated-caller.ts';

/** Longer retry hints are ignored. */
const ASKED_MS_MAX = 60_000;
const BASE_MS = 500;
const LONGEST_MS = 8_000;

/** Delay before the caller's next retry, in milliseconds; null if it does not retry. `tries`: requests so far, from 1. */
export function retryDelayMs(caller: SimulatedCaller, tries: number): number | null {
  if (tries > (caller.request.retries ?? 0) || caller.responseEnd === 'left' || !isWorthwhile(caller)) return null;
  const askedMs = Number(caller.responseHeader('retry-after-ms') ?? Number.NaN);
  if (askedMs >= 0 && askedMs < ASKED_MS_MAX) return askedMs;
  return Math.min(LONGEST_MS, BASE_MS * 2 ** (tries - 1));
}

function isWorthwhile(caller: SimulatedCaller): boolean {
  const { status } = caller;
  // No retry once the head of a successful response has arrived, even if the rest breaks.
  if (status === 0) return true;
  const hint = caller.responseHeader('x-should-retry');
  if (hint !== null) return hint === 'true';
  return status === 408 || status === 409 || status === 429 || status >= 500;
}
