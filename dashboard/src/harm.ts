/** Which causes explain the errors that callers see now. Pure. */
import type { ErrorCount } from './frames.ts';

type Code = ErrorCount['code'];

/** Kinds of causes. `limit` includes a target that its provider limits. */
export type CauseKind = 'target' | 'limit' | 'queue' | 'budget' | 'rejection';

/** What may be behind a code of a received request. A code that is not listed comes from a target. */
const causesOf: Partial<Record<Code, readonly CauseKind[]>> = {
  budget_exceeded: ['budget'],
  queue_full: ['queue', 'limit'],
  rate_limited: ['queue', 'limit'],
  deadline_exceeded: ['queue', 'limit', 'target'],
  no_target_available: ['target', 'limit'],
  invalid_request: [],
  capability_unsupported: [],
  idempotency_conflict: [],
  previous_response_not_found: [],
  store_unavailable: [],
  internal_error: [],
};

export interface Harm {
  /** Errors of the last minute that each kind explains. */
  readonly explained: Readonly<Record<CauseKind, number>>;
  /** Errors with a code that no cause of the headline explains. */
  readonly others: readonly ErrorCount[];
}

/** `total`: errors of the last minute that callers see; those without a code in `errors` are a target's. */
export function harmOf(errors: readonly ErrorCount[], total: number): Harm {
  const explained: Record<CauseKind, number> = { target: 0, limit: 0, queue: 0, budget: 0, rejection: 0 };
  const others: ErrorCount[] = [];
  let listed = 0;
  for (const error of errors) {
    const { code, isRejected, callerVisible } = error;
    listed += callerVisible;
    const kinds: readonly CauseKind[] = isRejected ? ['rejection'] : (causesOf[code] ?? ['target']);
    for (const kind of kinds) explained[kind] += callerVisible;
    if (kinds.length === 0) others.push(error);
  }
  explained.target += Math.max(0, total - listed);
  return { explained, others };
}
