import type { Attempt } from '../attempt/attempt.ts';
import { learnFromResponse } from '../settle/learn.ts';
import { learnAccepted } from './repair.ts';
import type { RetryState } from './retry-state.ts';

/** A response has begun: learns from it, and wakes waiting requests. */
export function recordResponse(retry: RetryState, attempt: Attempt): void {
  learnFromResponse(retry.active, attempt);
  learnAccepted(retry, attempt);
}
