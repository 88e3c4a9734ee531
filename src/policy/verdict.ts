/**
 * Maps a failed attempt to a verdict and its side effects: a table, of which the first matching rule applies. Statuses and
 * codes take precedence over texts. A text only distinguishes what providers report under one status, and only as far as the caller cannot
 * have written it: providers quote prompts, so nothing after a quotation mark counts. `docs/failures.md` describes the same table, and a
 * test compares the two.
 */
import type { Failure, FailureKind } from '../core/facts.ts';
import { beforeQuote, blameFor, startsWithKeyError, concernsKey, concernsMoney } from '../core/credential-words.ts';
import { fieldNamedIn } from '../core/unsupported-field.ts';
import { isCallerError, isUnpairedCall } from './verdict/caller-error.ts';
import {
  AUTH,
  AUTH_OF_REQUEST,
  AUTH_UNCLEAR,
  BUSY,
  CONFLICT,
  CONTENT_FILTER,
  CONTEXT_LENGTH,
  DAILY_QUOTA,
  INVALID_REQUEST,
  MODEL_NOT_FOUND,
  NO_FLEX,
  OVERLOADED,
  QUOTA,
  QUOTA_OF_REQUEST,
  QUOTA_UNCLEAR,
  RATE_LIMITED,
  REFUSED,
  REQUEST_TIMEOUT,
  SERVER_ERROR,
  SLOW_DOWN,
  TOO_LARGE,
  UNSUPPORTED,
  judgement,
} from './verdict/judgement.ts';
import type { Judgement } from './verdict/judgement.ts';

export { CONFIRMED_REFUSAL, REPAIRED } from './verdict/judgement.ts';
export type { Judgement };

export interface Rule {
  /** In words, the same as in `docs/failures.md`. */
  readonly when: string;
  readonly statuses: (status: number) => boolean;
  /** Matched against code and type. */
  readonly words?: RegExp;
  /** Matched against the message up to its first quotation mark, where neither code nor type decides. */
  readonly text?: RegExp;
  /** Matched against the start of the whole message. */
  readonly opening?: RegExp;
  /** Applies only where the code says no more than that the request is bad. */
  readonly genericCodeOnly?: true;
  /** A further condition. */
  readonly test?: (failure: Failure, status: number) => boolean;
  readonly judgement: Judgement;
}

const is =
  (...statuses: number[]) =>
  (status: number) =>
    statuses.includes(status);
const any4xx = (status: number) => status >= 400 && status < 500;
const any5xx = (status: number) => status >= 500;

const LIMITED = /rate_?limit|too_many_requests|throttl|resource_exhausted|quota_exceeded|queue_exceeded/i;
const FILTERED =
  /content_filter|content_policy|moderation|invalid_prompt|guardrail|ResponsibleAIPolicyViolation|data_inspection_failed|content_moderation/i;
const FILTERED_TEXT = /\b(blocked|rejected|refused|stopped) by (the |our )?content[ -](filter|policy|moderation)/i;
const CONTEXT = /context_length|exceed_context_size|max_tokens_exceeded|token_limit_exceeded|string_too_long/i;
const CONTEXT_TEXT =
  /context (length|window|size|limit)|(prompt|input) is too long|maximum context|token count .*exceeds|too many (input )?tokens|reduce the length of/i;
const CONTEXT_OPENING = /^input length and .max_tokens. exceed context limit/i;
const UNSUPPORTED_WORDS = /^(unsupported_(parameter|value)|(unknown|unrecognized)_(parameter|field|argument)|extra_forbidden)$/i;
const UNSUPPORTED_TEXT =
  /(does not|doesn't|do not) support |(is|are) (not (currently |yet )?supported|only supported)|extra inputs are not permitted/i;
const UNSUPPORTED_OPENING =
  /^(invalid json payload received\. |json: )?(unsupported|unknown|unrecognized|unexpected)[a-z ]{0,30} ?(parameter|argument|field|property|value|name)s?\b|^((the )?(parameter|property|field|argument) )?["'`]?\w{1,64}["'`]?:? (: )?(this )?((parameter|property|field|feature) )?((is|are) )?(not supported|unsupported|deprecated for|extra inputs are not permitted)|^\[\{'type': 'extra_forbidden'|^(\w{1,40}(error|exception): )?([\w.]{1,100}\(\) )?got an unexpected keyword argument|^"auto" tool choice requires/i;
/** As worded by Python and by Go. */
const UNKNOWN_ARGUMENT_OPENING =
  /^(\w{1,40}(error|exception): )?([\w.]{1,100}\(\) )?got an unexpected keyword argument|^json: unknown field/i;
const NOT_JSON_OPENING =
  /^(we )?(could not|couldn't|cannot|can't|failed to|unable to) (parse|decode|read) (the |your )?(json|(request )?body)|^(invalid|malformed|bad) json\b|^(the )?(request )?body (is not|must be) (valid )?json/i;
const LOADING_TEXT =
  /maximum pending requests|loading (the )?model|model .{0,200}is (still |currently )?(loading|starting)|no slots? available/i;

export const STATUS_RULES: readonly Rule[] = [
  {
    when: '403 or 429 for a daily quota (`…PerDay…`, `free-models-per-day`)',
    statuses: is(403, 429),
    test: isDailyQuota,
    judgement: DAILY_QUOTA,
  },
  {
    when: '402, or a 400, 403, 412 or 429 about billing, whose message concerns this request: its size, its model',
    statuses: is(400, 402, 403, 412, 429),
    test: (failure, status) => isBilling(failure, status) && blameFor(failure, true) === 'request',
    judgement: QUOTA_OF_REQUEST,
  },
  {
    when: '400, 401, 402, 403, 412 or 429 whose message says that the balance or credit is used up, a spend limit is reached or the account is suspended',
    statuses: is(400, 401, 402, 403, 412, 429),
    test: (failure, status) => isClearlyBilling(failure, status) && blameFor(failure, true) === 'account',
    judgement: QUOTA,
  },
  {
    when: 'any other 402, or a 400, 403, 412 or 429 about billing',
    statuses: is(400, 402, 403, 412, 429),
    test: isBilling,
    judgement: QUOTA_UNCLEAR,
  },
  {
    when: '429 "request too large", or for long contexts only',
    statuses: is(429),
    text: /request too large|(required|not (enabled|available)) for (the )?long context/i,
    judgement: TOO_LARGE,
  },
  {
    when: '429 or 503 `slow_down`, `ramp_limit_exceeded`',
    statuses: is(429, 503),
    words: /^(slow_?down|ramp_limit_exceeded)$/i,
    judgement: SLOW_DOWN,
  },
  { when: '429 `resource_unavailable` (no flex capacity)', statuses: is(429), words: /^resource_unavailable$/i, judgement: NO_FLEX },
  { when: '429 `ModelNotReadyException`', statuses: is(429), words: /^ModelNotReady/i, judgement: BUSY },
  { when: 'any other 429', statuses: is(429), judgement: RATE_LIMITED },
  { when: '400, 403 or 503 with a rate-limit code', statuses: is(400, 403, 503), words: LIMITED, judgement: RATE_LIMITED },
  { when: '400 or 403 of a content filter or moderation', statuses: is(400, 403), words: FILTERED, judgement: CONTENT_FILTER },
  { when: '400 "blocked by content filtering policy"', statuses: is(400), text: FILTERED_TEXT, judgement: CONTENT_FILTER },
  { when: '400 or 403 `cmek_key_unreachable`', statuses: is(400, 403), words: /^cmek_key_unreachable$/i, judgement: SERVER_ERROR },
  {
    when: '400 or 403 for an unknown model',
    statuses: is(400, 403),
    words: /model_not_found|DeploymentNotFound/i,
    judgement: MODEL_NOT_FOUND,
  },
  {
    when: '400 whose code, or the start of whose text, says that the key is invalid',
    statuses: is(400),
    test: (failure) => startsWithKeyError(failure) && blameFor(failure, true) === 'account',
    judgement: AUTH,
  },
  {
    when: '400 `authentication_error`',
    statuses: is(400),
    words: /^authentication(_error)?$/i,
    judgement: AUTH_UNCLEAR,
  },
  {
    when: '400, 413 or 422 whose code says that the context is too long',
    statuses: is(400, 413, 422),
    words: CONTEXT,
    judgement: CONTEXT_LENGTH,
  },
  {
    when: '400 or 422 whose code says that a field is not supported',
    statuses: is(400, 422),
    words: UNSUPPORTED_WORDS,
    judgement: UNSUPPORTED,
  },
  { when: '400 `ConflictException`', statuses: is(400), words: /^conflict(exception|_error)?$/i, judgement: CONFLICT },
  {
    when: '400, 413 or 422 whose text says that the context is too long',
    statuses: is(400, 413, 422),
    text: CONTEXT_TEXT,
    judgement: CONTEXT_LENGTH,
  },
  {
    when: '400 "input length and `max_tokens` exceed context limit"',
    statuses: is(400),
    opening: CONTEXT_OPENING,
    judgement: CONTEXT_LENGTH,
  },
  {
    when: '400 `FAILED_PRECONDITION` for billing',
    statuses: is(400),
    words: /^FAILED_PRECONDITION$/i,
    text: /billing/i,
    judgement: QUOTA,
  },
  { when: '400 `FAILED_PRECONDITION` (a region, a state)', statuses: is(400), words: /^FAILED_PRECONDITION$/i, judgement: UNSUPPORTED },
  {
    when: '400 or 422 whose text says that something is not supported',
    statuses: is(400, 422),
    text: UNSUPPORTED_TEXT,
    genericCodeOnly: true,
    judgement: UNSUPPORTED,
  },
  {
    when: '400 or 422 that begins with the name of a field that is not supported',
    statuses: is(400, 422),
    test: ({ message }) => UNSUPPORTED_OPENING.test(message) || fieldNamedIn(message) !== null,
    genericCodeOnly: true,
    judgement: UNSUPPORTED,
  },
  { when: '403 whose text mentions moderation', statuses: is(403), text: /moderation|guardrail|\bflagged\b/i, judgement: CONTENT_FILTER },
  {
    when: '403 whose text says that the key has no access to the model',
    statuses: is(403),
    text: /access to (the |this )?model/i,
    judgement: MODEL_NOT_FOUND,
  },
  {
    when: '403 with an HTML page (a firewall, which may object to the prompt)',
    statuses: is(403),
    opening: /^an HTML page/,
    judgement: AUTH_OF_REQUEST,
  },
  {
    when: '401 or 403 whose message concerns this request: its model, a scope, a verification, a region',
    statuses: is(401, 403),
    test: (failure) => blameFor(failure, true) === 'request',
    judgement: AUTH_OF_REQUEST,
  },
  {
    when: '401 or 403 whose message says that the key is invalid',
    statuses: is(401, 403),
    test: (failure) => blameFor(failure, concernsKey(failure)) === 'account',
    judgement: AUTH,
  },
  { when: 'any other 401 or 403', statuses: is(401, 403), judgement: AUTH_UNCLEAR },
  { when: '404', statuses: is(404), judgement: MODEL_NOT_FOUND },
  { when: '408', statuses: is(408), judgement: REQUEST_TIMEOUT },
  { when: '409 or 425', statuses: is(409, 425), judgement: CONFLICT },
  { when: '413 with a rate-limit code', statuses: is(413), words: /rate_?limit|^tokens$/i, judgement: TOO_LARGE },
  { when: '413 whose text mentions tokens per minute', statuses: is(413), text: /tokens? per minute|TPM/i, judgement: TOO_LARGE },
  { when: '424, 498 or 499', statuses: is(424, 498, 499), judgement: OVERLOADED },
  {
    when: '400 or 422 that says that the request is not JSON',
    statuses: is(400, 422),
    opening: NOT_JSON_OPENING,
    genericCodeOnly: true,
    judgement: INVALID_REQUEST,
  },
  {
    when: '400 or 422 that names a standard field as missing, of the wrong type or below any minimum',
    statuses: is(400, 422),
    test: isCallerError,
    judgement: INVALID_REQUEST,
  },
  {
    when: '400 or 422 about a tool call without a result, or a result without a call',
    statuses: is(400, 422),
    test: isUnpairedCall,
    judgement: INVALID_REQUEST,
  },
  { when: 'any other 4xx', statuses: any4xx, judgement: REFUSED },
  {
    when: '500 or 502 whose code says that the context is too long',
    statuses: is(500, 502),
    words: CONTEXT,
    judgement: CONTEXT_LENGTH,
  },
  { when: '500 whose text says that the context is too long', statuses: is(500), text: CONTEXT_TEXT, judgement: CONTEXT_LENGTH },
  {
    when: '500 for a field or keyword argument that is unknown to the server',
    statuses: is(500),
    opening: UNKNOWN_ARGUMENT_OPENING,
    judgement: UNSUPPORTED,
  },
  { when: '503 of a local server that is loading its model or has a full queue', statuses: is(503), text: LOADING_TEXT, judgement: BUSY },
  { when: '501', statuses: is(501), judgement: UNSUPPORTED },
  { when: 'any other 503, or 529', statuses: is(503, 529), judgement: OVERLOADED },
  { when: 'any other 5xx', statuses: any5xx, judgement: SERVER_ERROR },
];

/** Redirects are not followed; a retry would get the same one, because the base URL is wrong. */
export const OTHER_STATUS: Pick<Rule, 'when' | 'judgement'> = {
  when: 'a redirect, or a status that is invalid for a response',
  judgement: judgement('switch', 'malformed', { health: 'failure' }),
};

const CONNECTION = judgement('retry', 'connection', { health: 'failure' });

/** The failures without an error status. */
export const KIND_RULES: Readonly<Record<Exclude<FailureKind, 'status' | 'error'>, Pick<Rule, 'when' | 'judgement'>>> = {
  connect: { when: 'no connection: refused, DNS, TLS', judgement: CONNECTION },
  exhausted: {
    when: 'no connection, because this process or machine has no file descriptor, port or memory for one',
    judgement: judgement('retry', 'internal'),
  },
  reset: { when: 'the connection breaks before the response starts', judgement: CONNECTION },
  timeout: { when: 'silence beyond the timeout', judgement: judgement('retry', 'timeout', { health: 'failure' }) },
  slow: { when: 'silence far beyond the usual latency of this target', judgement: judgement('retry', 'slow', { health: 'failure' }) },
  cut: { when: 'the response ends before it is complete', judgement: judgement('retry', 'interrupted', { health: 'failure' }) },
  malformed: {
    when: 'not a valid response: bad JSON, garbage, a web page',
    judgement: judgement('retry', 'malformed', { health: 'failure' }),
  },
  empty: { when: 'a complete response without content', judgement: judgement('retry', 'empty') },
  failed_check: { when: 'a complete response that fails a quality check', judgement: judgement('switch', 'quality') },
};

/** A server may close an idle connection at the moment of its reuse: that does not count against its health. */
export const STALE_CONNECTION: Pick<Rule, 'when' | 'judgement'> = {
  when: 'the same, at once, on a reused connection',
  judgement: judgement('retry', 'connection'),
};

/** An unknown host name or an untrusted certificate will not change by the next attempt. */
export const PERMANENT_CONNECT: Pick<Rule, 'when' | 'judgement'> = {
  when: 'the same, where the host name is unknown or the certificate is refused',
  judgement: judgement('switch', 'connection', { health: 'failure' }),
};

/** An error inside a success response often has no status; its code or type implies one. */
const WORDS_AS_STATUS: readonly (readonly [RegExp, number])[] = [
  [/payment|insufficient_?(quota|balance|credits?|funds)|billing|spend_limit|usage_limit|credit_balance|arrearage/i, 402],
  [
    /rate_?limit|too_many_requests|throttl|resource_exhausted|resource_unavailable|slow_?down|ramp_limit|quota_exceeded|queue_exceeded|PerDay/i,
    429,
  ],
  [/overloaded|unavailable|capacity|busy/i, 503],
  [/unsupported_country/i, 403],
  [CONTEXT, 400],
  [FILTERED, 400],
  [/authentication|invalid_api_?key|api_?key_invalid|unauthorized/i, 401],
  [/permission|forbidden/i, 403],
  [/not_found/i, 404],
  [/^conflict/i, 409],
  [/payload_too_large|request_too_large/i, 413],
  [/invalid_|validation|unsupported_|unprocessable|precondition|string_above|missing_required|decommissioned|tool_use_failed/i, 400],
];

/** The same for an error that has only a message. About billing only unambiguous messages count (`concernsMoney`). */
const TEXT_AS_STATUS: readonly (readonly [RegExp, number])[] = [
  [/rate limit|too many requests/i, 429],
  [/overloaded|server (is )?busy|at capacity/i, 503],
  [CONTEXT_TEXT, 400],
  [/token limit|prompt length|not a valid model|decommissioned|does not exist/i, 400],
];

export function judge(failure: Failure): Judgement {
  if (failure.kind === 'status' || failure.kind === 'error') return ruleFor(errorStatusOf(failure)!, failure).judgement;
  if (failure.kind === 'reset' && failure.code === 'stale_connection') return STALE_CONNECTION.judgement;
  if (failure.kind === 'connect' && failure.code === 'permanent_connect_failure') return PERMANENT_CONNECT.judgement;
  return KIND_RULES[failure.kind].judgement;
}

/** The rule that decides on an error with this status. */
export function ruleFor(status: number, failure: Failure): Pick<Rule, 'when' | 'judgement'> {
  return STATUS_RULES.find((rule) => rule.statuses(status) && matches(rule, failure, status)) ?? OTHER_STATUS;
}

/** No code, a number, or one that says only that the request is bad. */
const GENERIC_CODE = /^(\d*|invalid_request(_error)?|INVALID_ARGUMENT|bad_?request(_?error)?|validation_?(error|exception))$/i;

function matches(rule: Rule, failure: Failure, status: number): boolean {
  if (rule.genericCodeOnly === true && !GENERIC_CODE.test(failure.code ?? '')) return false;
  if (rule.words !== undefined && !matchesWord(rule.words, failure)) return false;
  if (rule.test !== undefined && !rule.test(failure, status)) return false;
  if (rule.opening !== undefined && !rule.opening.test(failure.message)) return false;
  return rule.text === undefined || rule.text.test(beforeQuote(failure.message));
}

function matchesWord(words: RegExp, failure: Failure): boolean {
  return (failure.code !== null && words.test(failure.code)) || (failure.type !== null && words.test(failure.type));
}

function isBilling(failure: Failure, status: number): boolean {
  return status === 402 || isClearlyBilling(failure, status);
}

/** A 400 that names a field concerns the request, whatever its message says. */
function isClearlyBilling(failure: Failure, status: number): boolean {
  return concernsMoney(failure) && (status !== 400 || failure.param === null);
}

function isDailyQuota(failure: Failure): boolean {
  return matchesWord(/PerDay|dailyLimitExceeded|per-day/i, failure) || /\bfree-models-per-day\b/i.test(failure.message);
}

/** The error status of a failure, or the one implied by an error inside a success response; null: not an error of a provider. */
export function errorStatusOf(failure: Failure): number | null {
  if (failure.kind === 'status') return failure.status ?? 500;
  return failure.kind === 'error' ? statusInside(failure) : null;
}

function statusInside(failure: Failure): number {
  return impliedStatusOf(failure) ?? 500;
}

/** The status that an error inside a success response should have had; null: neither its code nor its text implies one. */
export function impliedStatusOf(failure: Failure): number | null {
  if (failure.status !== null && failure.status >= 400) return failure.status;
  for (const [words, status] of WORDS_AS_STATUS) if (matchesWord(words, failure)) return status;
  if (failure.code !== null || failure.type !== null) return null;
  if (concernsMoney(failure)) return 402;
  const text = beforeQuote(failure.message);
  for (const [words, status] of TEXT_AS_STATUS) if (words.test(text)) return status;
  return null;
}
