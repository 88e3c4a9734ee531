/** The possible consequences of a failed attempt. */
import type { Reason, Verdict } from '../../core/outcome.ts';
import type { Blame } from '../../core/credential-words.ts';

export interface Judgement {
  readonly verdict: Exclude<Verdict, 'success'>;
  readonly reason: Reason;
  /** For the target's breaker. */
  readonly health: 'failure' | 'neutral';
  /**
   * - `cooldown`: the target pauses for the requested time, else for the default backoff
   * - `quarantine`: the credential is quarantined for `quarantineMs`, or longer where the provider asks for it
   * - `suspect`: the same once an independent refusal confirms it (`Suspicion`)
   * - `none`: nothing, except that a `retry` waits for a requested time
   */
  readonly effect: 'cooldown' | 'quarantine' | 'suspect' | 'none';
  readonly quarantineMs: number;
  /** A cooldown without a requested time is four times as long: the target needs fewer requests, not the same ones later. */
  readonly longerPause: boolean;
  /** Every other target of the same model would refuse the request too, so other credentials for that model are skipped. */
  readonly requestAtFault: boolean;
  /** What a refused credential is attributed to; null: the failure does not concern a credential. */
  readonly blame: Blame | null;
}

const MINUTE = 60_000;
const QUOTA_QUARANTINE_MS = 10 * MINUTE;
/** A daily quota resets at midnight in an unknown time zone; one call an hour finds out. */
const DAILY_QUARANTINE_MS = 60 * MINUTE;
const AUTH_QUARANTINE_MS = 5 * MINUTE;

type Parts = Partial<Omit<Judgement, 'verdict' | 'reason'>>;

export function judgement(verdict: Judgement['verdict'], reason: Reason, parts: Parts = {}): Judgement {
  return {
    verdict,
    reason,
    health: 'neutral',
    effect: 'none',
    quarantineMs: 0,
    longerPause: false,
    requestAtFault: false,
    blame: null,
    ...parts,
  };
}

export const RATE_LIMITED = judgement('retry', 'rate_limited', { effect: 'cooldown' });
export const SLOW_DOWN = judgement('retry', 'rate_limited', { effect: 'cooldown', longerPause: true });
/** Only this kind of request lacks capacity: other requests continue. */
export const NO_FLEX = judgement('retry', 'rate_limited');
export const BUSY = judgement('retry', 'busy', { effect: 'cooldown' });
export const QUOTA = judgement('switch', 'quota', { effect: 'quarantine', quarantineMs: QUOTA_QUARANTINE_MS, blame: 'account' });
export const DAILY_QUOTA = judgement('switch', 'quota', { effect: 'quarantine', quarantineMs: DAILY_QUARANTINE_MS, blame: 'account' });
export const QUOTA_UNCLEAR = judgement('switch', 'quota', { effect: 'suspect', quarantineMs: QUOTA_QUARANTINE_MS, blame: 'unclear' });
/** The caller can act on it, for example with a lower `max_tokens`. */
export const QUOTA_OF_REQUEST = judgement('switch', 'quota', { requestAtFault: true, blame: 'request' });
export const AUTH = judgement('switch', 'auth', { effect: 'quarantine', quarantineMs: AUTH_QUARANTINE_MS, blame: 'account' });
export const AUTH_UNCLEAR = judgement('switch', 'auth', { effect: 'suspect', quarantineMs: AUTH_QUARANTINE_MS, blame: 'unclear' });
export const AUTH_OF_REQUEST = judgement('switch', 'auth', { blame: 'request' });
export const OVERLOADED = judgement('retry', 'overloaded', { health: 'failure' });
export const SERVER_ERROR = judgement('retry', 'server_error', { health: 'failure' });
export const CONFLICT = judgement('retry', 'conflict');
export const REQUEST_TIMEOUT = judgement('retry', 'timeout');
export const CONTEXT_LENGTH = judgement('switch', 'context_length', { requestAtFault: true });
export const TOO_LARGE = judgement('switch', 'too_large', { requestAtFault: true });
export const MODEL_NOT_FOUND = judgement('switch', 'model_not_found', { requestAtFault: true });
export const UNSUPPORTED = judgement('switch', 'unsupported', { requestAtFault: true });
export const CONTENT_FILTER = judgement('switch', 'content_filter', { requestAtFault: true });
export const INVALID_REQUEST = judgement('reject', 'invalid_request', { requestAtFault: true });
/** No rule covers the error: another target gives a second opinion. */
export const REFUSED = judgement('switch', 'refused', { requestAtFault: true });

/** A refusal that a second target has confirmed, now or recently. */
export const CONFIRMED_REFUSAL = judgement('reject', 'invalid_request', { requestAtFault: true });
/** A refusal of something that the gateway added or changed: the same target is called again at once without it. */
export const REPAIRED: Judgement = judgement('retry', 'unsupported', { requestAtFault: true });
