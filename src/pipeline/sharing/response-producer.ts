/** What a shared response needs of the request that produces it. */
import type { Instant } from '../../core/clock.ts';
import type { SchedulingClass } from '../../core/request.ts';

/** The request that produces the response. */
export interface ResponseProducer {
  readonly deadline: Instant;
  /** Another reader joined: raises the request to the higher class of both, and to the later deadline. */
  raise(by: { readonly priority: SchedulingClass; readonly deadline: Instant }): void;
  note(note: string): void;
}

/** Errors that a stale response is preferred to. The others are about the request, or the gateway's own end. */
export const STALE_STANDS_IN: ReadonlySet<string> = new Set([
  'all_targets_failed', 'no_target_available', 'rate_limited', 'queue_full', 'budget_exceeded', 'deadline_exceeded', 'upstream_auth_failed', 'internal_error',
]); // prettier-ignore
