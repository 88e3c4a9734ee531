/**
 * What follows from a failed attempt: a table from its facts to a verdict and its side effects (design 4.2).
 * The first rule that matches decides. Statuses and codes come before texts; texts only tell apart what providers
 * put under one status.
 */
import type { Failure } from '../core/facts.ts';
import type { Reason, Verdict } from '../core/outcome.ts';

export interface Judgement {
  readonly verdict: Exclude<Verdict, 'success'>;
  readonly reason: Reason;
  /** For the target's breaker. */
  readonly health: 'failure' | 'neutral';
  /**
   * - `cooldown`: the target pauses for the time asked, else by our own backoff
   * - `bench`: the credential is out of order for `benchMs`
   * - `none`
   */
  readonly effect: 'cooldown' | 'bench' | 'none';
  readonly benchMs: number;
  /** Every other target would say the same unless it is another model: credentials of the same model are passed over too. */
  readonly liesInRequest: boolean;
}

const MINUTE = 60_000;
const QUOTA_BENCH_MS = 10 * MINUTE;
const AUTH_BENCH_MS = 5 * MINUTE;

type Parts = Partial<Omit<Judgement, 'verdict' | 'reason'>>;

function judgement(verdict: Judgement['verdict'], reason: Reason, parts: Parts = {}): Judgement {
  return { verdict, reason, health: 'neutral', effect: 'none', benchMs: 0, liesInRequest: false, ...parts };
}

const RATE_LIMITED = judgement('retry', 'rate_limited', { effect: 'cooldown' });
const BUSY = judgement('retry', 'busy', { effect: 'cooldown' });
const QUOTA = judgement('switch', 'quota', { effect: 'bench', benchMs: QUOTA_BENCH_MS });
const AUTH = judgement('switch', 'auth', { effect: 'bench', benchMs: AUTH_BENCH_MS });
const OVERLOADED = judgement('retry', 'overloaded', { health: 'failure' });
const SERVER_ERROR = judgement('retry', 'server_error', { health: 'failure' });
const CONFLICT = judgement('retry', 'conflict');
const REQUEST_TIMEOUT = judgement('retry', 'timeout');
const CONTEXT_LENGTH = judgement('switch', 'context_length', { liesInRequest: true });
const TOO_LARGE = judgement('switch', 'too_large', { liesInRequest: true });
const MODEL_NOT_FOUND = judgement('switch', 'model_not_found', { liesInRequest: true });
const UNSUPPORTED = judgement('switch', 'unsupported', { liesInRequest: true });
const CONTENT_FILTER = judgement('switch', 'content_filter', { liesInRequest: true });
const INVALID_REQUEST = judgement('reject', 'invalid_request', { liesInRequest: true });

interface Rule {
  readonly statuses: (status: number) => boolean;
  /** Looked for in code and type. */
  readonly words?: RegExp;
  /** Looked for in the message, where neither code nor type can tell. */
  readonly text?: RegExp;
  readonly judgement: Judgement;
}

const is =
  (...statuses: number[]) =>
  (status: number) =>
    statuses.includes(status);
const any4xx = (status: number) => status >= 400 && status < 500;
const any5xx = (status: number) => status >= 500;

const SPENT =
  /^(insufficient_quota|credit_balance_exhausted|billing_error|payment_required|insufficient_balance)$|spend_limit|usage_limit_exceeded|billing/i;
/** Not behind a quotation mark: providers quote what the caller sent, and that must never bench a credential. */
const SPENT_TEXT = /^[^'"`]*(spend(ing)? limit|credit balance|insufficient (credit|balance|funds)|api usage limits?)/i;
const CONTEXT_TEXT = /context (length|window|size)|prompt is too long|maximum context|token count .*exceeds|too many (input )?tokens/i;
const UNSUPPORTED_WORDS = /^(unsupported_parameter|unsupported_value|unknown_parameter|unrecognized_parameter)$/i;

export const STATUS_RULES: readonly Rule[] = [
  { statuses: is(402), judgement: QUOTA },
  { statuses: is(400, 403, 429), words: SPENT, judgement: QUOTA },
  { statuses: is(429), text: /request too large/i, judgement: TOO_LARGE },
  { statuses: is(429), judgement: RATE_LIMITED },
  { statuses: is(400, 403), words: /content_filter|content_policy|moderation|invalid_prompt|guardrail/i, judgement: CONTENT_FILTER },
  { statuses: is(400, 403, 404), words: /model_not_found|DeploymentNotFound/i, judgement: MODEL_NOT_FOUND },
  { statuses: is(400), words: /API_KEY_INVALID|invalid_api_key/i, judgement: AUTH },
  {
    statuses: is(400, 413, 422),
    words: /context_length|exceed_context_size|max_tokens_exceeded|token_limit_exceeded|string_too_long/i,
    judgement: CONTEXT_LENGTH,
  },
  { statuses: is(400, 413, 422), text: CONTEXT_TEXT, judgement: CONTEXT_LENGTH },
  { statuses: is(400, 422), words: UNSUPPORTED_WORDS, judgement: UNSUPPORTED },
  { statuses: is(400), text: SPENT_TEXT, judgement: QUOTA },
  { statuses: is(401), judgement: AUTH },
  { statuses: is(403), text: /moderation|guardrail|\bflagged\b/i, judgement: CONTENT_FILTER },
  { statuses: is(403), text: /access to (the |this )?model/i, judgement: MODEL_NOT_FOUND },
  { statuses: is(403), judgement: AUTH },
  { statuses: is(404), judgement: MODEL_NOT_FOUND },
  { statuses: is(408), judgement: REQUEST_TIMEOUT },
  { statuses: is(409, 425), judgement: CONFLICT },
  { statuses: is(413), text: /tokens? per minute|TPM/i, judgement: TOO_LARGE },
  { statuses: is(424, 498, 499), judgement: OVERLOADED },
  { statuses: any4xx, judgement: INVALID_REQUEST },
  { statuses: is(503), text: /maximum pending requests|loading model/i, judgement: BUSY },
  { statuses: is(501), judgement: UNSUPPORTED },
  { statuses: is(503, 529), judgement: OVERLOADED },
  { statuses: any5xx, judgement: SERVER_ERROR },
];

const CONNECTION = judgement('retry', 'connection', { health: 'failure' });
const TIMEOUT = judgement('retry', 'timeout', { health: 'failure' });
const SLOW = judgement('retry', 'slow', { health: 'failure' });
const INTERRUPTED = judgement('retry', 'interrupted', { health: 'failure' });
const MALFORMED = judgement('retry', 'malformed', { health: 'failure' });
/** Redirects are not followed, and asking again leads to the same one: the base URL is wrong. */
const REDIRECTED = judgement('switch', 'malformed', { health: 'failure' });
const EMPTY = judgement('retry', 'empty');

/** An error inside a success answer often tells no status; these words tell which one it would have been. */
const WORDS_AS_STATUS: readonly (readonly [RegExp, number])[] = [
  [/payment|insufficient_quota|billing|spend_limit|usage_limit|credit_balance/i, 402],
  [/rate_?limit|too_many_requests|throttl|resource_exhausted|slow_down|quota_exceeded|queue_exceeded/i, 429],
  [/overloaded|unavailable|capacity|busy/i, 503],
  [/unsupported_country/i, 403],
  [/context_length|max_tokens_exceeded|token_limit_exceeded|string_too_long|exceed_context_size/i, 400],
  [/content_filter|content_policy|invalid_prompt|moderation|guardrail/i, 400],
  [/authentication|invalid_api_key|unauthorized/i, 401],
  [/permission|forbidden/i, 403],
  [/not_found/i, 404],
  [/payload_too_large|request_too_large/i, 413],
  [/invalid_|validation|unsupported_|unprocessable|precondition/i, 400],
];

export function judge(failure: Failure): Judgement {
  switch (failure.kind) {
    case 'status':
      return judgeStatus(failure.status ?? 500, failure);
    case 'error':
      return judgeStatus(statusInside(failure), failure);
    case 'connect':
    case 'reset':
      return CONNECTION;
    case 'timeout':
      return TIMEOUT;
    case 'slow':
      return SLOW;
    case 'cut':
      return INTERRUPTED;
    case 'malformed':
      return MALFORMED;
    case 'empty':
      return EMPTY;
  }
}

function judgeStatus(status: number, failure: Failure): Judgement {
  const words = `${failure.code ?? ''} ${failure.type ?? ''}`;
  for (const rule of STATUS_RULES) {
    if (!rule.statuses(status)) continue;
    if (rule.words !== undefined && !matchesWord(rule.words, failure)) continue;
    if (rule.text !== undefined && !rule.text.test(failure.message) && !rule.text.test(words)) continue;
    return rule.judgement;
  }
  return REDIRECTED; // a status that no answer to a POST should have
}

function matchesWord(words: RegExp, failure: Failure): boolean {
  return (failure.code !== null && words.test(failure.code)) || (failure.type !== null && words.test(failure.type));
}

function statusInside(failure: Failure): number {
  if (failure.status !== null && failure.status >= 400) return failure.status;
  const words = `${failure.code ?? ''} ${failure.type ?? ''}`;
  for (const [pattern, status] of WORDS_AS_STATUS) if (pattern.test(words)) return status;
  return 500;
}
