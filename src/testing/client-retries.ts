/** When a caller asks again, as the official SDKs do: not our policy, but what it meets in the wild. */
import type { SimulatedCaller } from './simulated-caller.ts';

/** Longer waits that a header names are not believed. */
const ASKED_MS_MAX = 60_000;
const BASE_MS = 500;
const LONGEST_MS = 8_000;

/** How long the caller waits before it asks once more, in milliseconds; null: it does not. `tries`: those so far, from 1. */
export function retryDelayMs(caller: SimulatedCaller, tries: number): number | null {
  if (tries > (caller.request.retries ?? 0) || caller.answerEnd === 'left' || !isWorthwhile(caller)) return null;
  const askedMs = Number(caller.answerHeader('retry-after-ms') ?? Number.NaN);
  if (askedMs >= 0 && askedMs < ASKED_MS_MAX) return askedMs;
  return Math.min(LONGEST_MS, BASE_MS * 2 ** (tries - 1));
}

function isWorthwhile(caller: SimulatedCaller): boolean {
  const { status } = caller;
  // Nothing is asked again once the head of a good answer has come, even where its rest is broken.
  if (status === 0) return true;
  const told = caller.answerHeader('x-should-retry');
  if (told !== null) return told === 'true';
  return status === 408 || status === 409 || status === 429 || status >= 500;
}
