/**
 * What becomes of a request when one of its providers has a fault: one entry for every kind that Storm knows. A fault is
 * passed on, falls back, is told, or breaks a stream that has begun; the words below say which, for both forms.
 */
import type { StormFault, StormFaultKind } from '../../src/storm/index.ts';

/** The answer goes to the caller as Storm said it. */
export interface Passes {
  readonly end: 'passes';
  /** Default: what a provider without the fault says. Else what Storm says with it, asked directly. */
  readonly says?: 'as the fault has it';
  /** Calls until it came. Default 1. */
  readonly calls?: number;
}

/** Nothing has gone out: the next target answers. Alone it is asked again where that may help, and then the caller is told. */
export interface Fails {
  readonly end: 'fails';
  readonly verdict: 'retry' | 'switch' | 'reject';
  /** As in the timeline and in x-breakwater-fallback. */
  readonly reason: string;
  /** Told to the caller where no other target is there. */
  readonly status: number;
  /** The provider's own error as it came; its words in our form; or an error of ours by its code. */
  readonly told: 'its bytes' | 'its words' | 'all_targets_failed' | 'upstream_auth_failed';
  readonly health?: 'failure';
  readonly holds?: 'cooldown' | 'bench';
  /** Calls while it is alone, where they are not one (switch, reject) or all that are allowed (retry). */
  readonly calls?: number;
}

/** A complete answer with nothing in it: the next target answers. Alone it is asked once more, then the answer is passed on and marked. */
export interface Hollow {
  readonly end: 'hollow';
}

/** Content has gone out: the stream ends with an error in band, and nobody else is asked. */
export interface Breaks {
  readonly end: 'breaks';
  readonly code: 'stream_interrupted' | 'stream_stalled';
  readonly reason: string;
  /** What has gone out before. Default: a part of the answer. */
  readonly after?: 'all of its content';
}

export type Fate = Passes | Fails | Hollow | Breaks;

export interface Expectation {
  /** Settings of the fault beside its kind. */
  readonly with?: Omit<StormFault, 'kind'>;
  readonly plain: Fate;
  readonly stream: Fate;
  /** Members of the request beside the usual ones. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** Megabytes go over the wire, so it does not belong among thousands. */
  readonly isLarge?: boolean;
}

const passes: Fate = { end: 'passes' };
const saysOther: Fate = { end: 'passes', says: 'as the fault has it' };
const hollow: Fate = { end: 'hollow' };

const health = 'failure';
const limited: Fails = { end: 'fails', reason: 'rate_limited', verdict: 'retry', status: 429, told: 'its bytes', holds: 'cooldown' };
const spent: Fails = { end: 'fails', reason: 'quota', verdict: 'switch', status: 429, told: 'its bytes', holds: 'bench' };
const refused: Fails = { end: 'fails', reason: 'auth', verdict: 'switch', status: 502, told: 'upstream_auth_failed', holds: 'bench' };
const serverError: Fails = { end: 'fails', reason: 'server_error', verdict: 'retry', status: 500, told: 'its bytes', health };
const overloaded: Fails = { ...serverError, reason: 'overloaded', status: 503 };
const toldInside: Fails = { ...serverError, status: 502, told: 'its words' };
const broken: Fails = { end: 'fails', reason: 'connection', verdict: 'retry', status: 502, told: 'all_targets_failed', health };
const cut: Fails = { ...broken, reason: 'interrupted' };
const silent: Fails = { ...broken, reason: 'timeout' };
const malformed: Fails = { ...broken, reason: 'malformed' };
const bodiless: Fails = { end: 'fails', reason: 'empty', verdict: 'retry', status: 502, told: 'all_targets_failed', calls: 2 };
const conflict: Fails = { end: 'fails', reason: 'conflict', verdict: 'retry', status: 409, told: 'its bytes' };
const inRequest = { end: 'fails', verdict: 'switch', status: 400, told: 'its bytes' } as const;
const invalid: Fails = { end: 'fails', reason: 'invalid_request', verdict: 'reject', status: 400, told: 'its bytes' };

const breaks: Breaks = { end: 'breaks', code: 'stream_interrupted', reason: 'interrupted' };
const stalls: Breaks = { end: 'breaks', code: 'stream_stalled', reason: 'stalled' };

/** The same in both forms. */
function both(fate: Fate, settings?: Expectation['with'], body?: Expectation['body']): Expectation {
  return { plain: fate, stream: fate, ...(settings && { with: settings }), ...(body && { body }) };
}

/** A page of words instead of JSON. */
const page = (fate: Fails): Expectation => both({ ...fate, told: 'its words' });

/** Breaks within: before the first content, and after some of it, which only a stream tells apart. */
function within(before: Fate, after: Breaks, settings: Expectation['with'] = {}): readonly Expectation[] {
  return [
    { with: { ...settings, afterTokens: 4 }, plain: before, stream: after },
    { with: { ...settings, afterTokens: 0 }, plain: before, stream: before },
  ];
}

/** By kind. `fault-kinds.ts` says what each does. */
export const EXPECTATIONS: Partial<Record<StormFaultKind, Expectation | readonly Expectation[]>> = {
  '429': both(limited),
  '429-retry': [both(limited, { retryAfter: 0 }), both(limited, { retryAfter: 'Wed, 21 Oct 2015 07:28:00 -0000' })],
  '429-date': both(limited, { ms: 0 }),
  '429-ms': both(limited, { retryAfterMs: 30 }),
  '429-text': both(limited, { ms: 30 }),
  '429-absurd': [both(limited), both(limited, { retryAfter: '99999999999' })],
  '429-empty': page(limited),
  '429-slow-down': both(limited),
  '429-quota': both(spent),
  '429-too-large': both({ ...inRequest, reason: 'too_large', status: 429 }),
  '400': [both(invalid), both({ ...spent, status: 400 }, { message: 'You have reached your spend limit.' })],
  '400-context': both({ ...inRequest, reason: 'context_length' }),
  '400-content-filter': both({ ...inRequest, reason: 'content_filter' }),
  '400-parameter': [
    both({ ...inRequest, reason: 'unsupported' }, { param: 'messages' }),
    both({ end: 'passes', calls: 2 }, {}, { temperature: 0.2 }),
    both(passes),
  ],
  '401': both(refused),
  '403': both(refused),
  '404': both({ ...inRequest, reason: 'model_not_found', status: 404 }),
  '408': both({ ...conflict, reason: 'timeout', status: 408 }),
  '409': both(conflict),
  '413': page({ ...invalid, status: 413 }),
  '500': both(serverError),
  '500-html': page(serverError),
  '502': both({ ...serverError, status: 502 }),
  '502-html': page({ ...serverError, status: 502 }),
  '503': both(overloaded),
  '503-html': page(overloaded),
  '504': both({ ...serverError, status: 504 }),
  '504-html': page({ ...serverError, status: 504 }),
  '529': both({ ...overloaded, status: 529 }),
  status: [
    both({ ...invalid, status: 418 }, { status: 418 }),
    both({ ...invalid, status: 422 }, { status: 422 }),
    both({ ...spent, status: 402 }, { status: 402 }),
    both({ ...conflict, status: 425 }, { status: 425 }),
  ],

  reset: both(broken),
  close: both(broken),
  silence: both(silent),
  'silence-content': both(silent),
  stall: within(silent, stalls),
  cut: within(cut, breaks),
  'cut-reset': within(cut, breaks),
  drip: both(passes, { ms: 3 }),
  bytes: both(passes),

  'error-first': both(toldInside),
  'error-preamble': both(toldInside),
  'error-content': within(toldInside, { ...breaks, reason: 'server_error' }),
  'no-done': both(passes),
  'no-finish': both(saysOther),
  'no-end': { plain: passes, stream: { ...breaks, after: 'all of its content' } },
  malformed: within(malformed, { ...breaks, reason: 'malformed' }),
  'empty-choices': both(hollow),
  'empty-null': both(hollow),
  empty: both(hollow),
  'empty-body': { plain: malformed, stream: bodiless },
  truncated: [both(saysOther, { afterTokens: 3 }), both(hollow, { afterTokens: 0 })],
  refusal: both(saysOther),
  'content-filter': both(saysOther),
  repetition: both(saysOther),
  prose: both(saysOther),

  html: both(malformed),
  'wrong-type': both(passes),
  'json-for-stream': both(passes),
  'sse-for-plain': { plain: malformed, stream: passes },
  gzip: both(passes),
  comments: both(passes, { ms: 2 }),
  crlf: both(passes),
  bom: both(passes),
  trailing: { plain: malformed, stream: passes },
};

/** All that is expected of a kind; none where nobody has said yet. */
export function expectationsOf(kind: StormFaultKind): readonly Expectation[] {
  const found = EXPECTATIONS[kind];
  if (found === undefined) return [];
  return Array.isArray(found) ? (found as readonly Expectation[]) : [found as Expectation];
}
