import type { Attempt } from '../attempt/attempt.ts';
import { learnFromResponse } from '../settle/learn.ts';
import { learnAccepted } from './repair.ts';
import type { RetryState } from './retry-state.ts';

/** A response has begun: learns from it, and wakes waiting requests. */
export function recordResponse(retry: RetryState, attempt: Attempt): void {
  const { request, target } = attempt.options;
  const { facts } = attempt;
  // The provider bills it as a batch, whether or not the response says so.
  if (request.delivered?.target === target && facts.usage !== null) facts.usage = { ...facts.usage, serviceTier: 'batch' };
  const now = retry.active.engine.clock.now();
  learnFromResponse(retry.active, attempt, now);
  learnAccepted(retry, attempt, now);
}
