/** What a failed attempt can mean. */
import type { Reason, Verdict } from '../../core/outcome.ts';
import type { Blame } from '../../core/credential-words.ts';

export interface Judgement {
  readonly verdict: Exclude<Verdict, 'success'>;
  readonly reason: Reason;
  /** For the target's breaker. */
  readonly health: 'failure' | 'neutral';
  /**
   * - `cooldown`: the target pauses for the time asked, else by our own backoff
   * - `bench`: the credential is quarantined for `benchMs`, or longer where that is asked
   * - `suspect`: the same once a second witness says so (`Suspicion`)
   * - `none`: though a `retry` that asks for a time is given it
   */
  readonly effect: 'cooldown' | 'bench' | 'suspect' | 'none';
  readonly benchMs: number;
  /** A cooldown without a time asked is four times as long: the target wants fewer requests, not the same ones later. */
  readonly longerPause: boolean;
  /** Every other target would say the same unless it is another model: credentials of the same model are passed over too. */
  readonly requestAtFault: boolean;
  /** What a refused credential is blamed for; null: the failure is none of a credential. */
  readonly blame: Blame | null;
}

const MINUTE = 60_000;
const QUOTA_BENCH_MS = 10 * MINUTE;
/** The day ends at midnight somewhere; one call in an hour finds out. */
const DAILY_BENCH_MS = 60 * MINUTE;
const AUTH_BENCH_MS = 5 * MINUTE;

type Parts = Partial<Omit<Judgement, 'verdict' | 'reason'>>;

export function judgement(verdict: Judgement['verdict'], reason: Reason, parts: Parts = {}): Judgement {
  return {
    verdict,
    reason,
    health: 'neutral',
    effect: 'none',
    benchMs: 0,
    longerPause: false,
    requestAtFault: false,
    blame: null,
    ...parts,
  };
}

export const RATE_LIMITED = judgement('retry', 'rate_limited', { effect: 'cooldown' });
export const SLOW_DOWN = judgement('retry', 'rate_limited', { effect: 'cooldown', longerPause: true });
/** Only this kind of request finds no room: the others go on. */
export const NO_FLEX = judgement('retry', 'rate_limited');
export const BUSY = judgement('retry', 'busy', { effect: 'cooldown' });
export const QUOTA = judgement('switch', 'quota', { effect: 'bench', benchMs: QUOTA_BENCH_MS, blame: 'account' });
export const DAILY_QUOTA = judgement('switch', 'quota', { effect: 'bench', benchMs: DAILY_BENCH_MS, blame: 'account' });
export const QUOTA_UNCLEAR = judgement('switch', 'quota', { effect: 'suspect', benchMs: QUOTA_BENCH_MS, blame: 'unclear' });
/** The caller can act on it, for example with a lower `max_tokens`. */
export const QUOTA_OF_REQUEST = judgement('switch', 'quota', { requestAtFault: true, blame: 'request' });
export const AUTH = judgement('switch', 'auth', { effect: 'bench', benchMs: AUTH_BENCH_MS, blame: 'account' });
export const AUTH_UNCLEAR = judgement('switch', 'auth', { effect: 'suspect', benchMs: AUTH_BENCH_MS, blame: 'unclear' });
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
/** No rule knows the error: another target gives a second opinion. */
export const REFUSED = judgement('switch', 'refused', { requestAtFault: true });

/** A refusal that a second target has confirmed, now or lately. */
export const CONFIRMED_REFUSAL = judgement('reject', 'invalid_request', { requestAtFault: true });
/** A refusal of what we added or changed: the same target is asked again at once without it. */
export const REPAIRED: Judgement = judgement('retry', 'unsupported', { requestAtFault: true });
