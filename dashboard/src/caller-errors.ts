/** What callers' errors of the last minute have in common, in words. Pure. */
import { count, percent, plural } from './format.ts';
import type { ErrorCount, FeedState } from './frames.ts';

/** Rejected requests that may be a scanner's are mentioned from this number in a minute, if they are most of the traffic. */
const unknownMin = 20;
const namesShown = 2;
/** From this share on, the others are not worth a mention. */
const nearlyAll = 0.95;
/** Longer names of clients are cut, so that the rest of the sentence stays visible. */
const nameLengthMax = 32;

type Code = ErrorCount['code'];

/** What `upstream_error` stands for. */
export const ownErrorText = 'the provider’s own error, passed on with its own code';

/** Of received requests. */
const failureTexts: Partial<Record<Code, string>> = {
  queue_full: 'the queue is full',
  rate_limited: 'limits leave no room for them',
  budget_exceeded: 'budgets leave no room for them',
  deadline_exceeded: 'their deadlines pass first',
  no_target_available: 'no target can be used',
  store_unavailable: 'the store does not respond',
  capability_unsupported: 'no target supports them',
  invalid_request: 'they are invalid',
  internal_error: 'internal error, see the log',
  upstream_error: 'their providers’ own errors are passed on',
};

/** Of requests that were rejected before a target was chosen. */
const rejectionTexts: Partial<Record<Code, string>> = {
  invalid_api_key: 'unknown API key',
  model_not_allowed: 'model not allowed',
  model_not_found: 'unknown model',
  not_local: 'not a local caller',
  not_found: 'unknown path or id',
  invalid_request: 'invalid request',
  request_too_large: 'request too large',
  rate_limited: 'limit of a session',
  budget_exceeded: 'limit of a session',
  queue_full: 'queue or memory full',
  store_unavailable: 'the store does not respond',
  internal_error: 'internal error, see the log',
};

export interface Rejections {
  /** `413 requests of the last minute were rejected: unknown API key (client web, accepted before a reload)` */
  readonly text: string;
  readonly requests: number;
  /** They count among the errors that callers see; otherwise their callers may be scanners. */
  readonly isCallerVisible: boolean;
  /** All of them were stopped by limits of their sessions. */
  readonly isOfSessions: boolean;
}

const sessionCodes: ReadonlySet<Code> = new Set(['rate_limited', 'budget_exceeded']);

/** Rejected requests worth mentioning; null: none. `others`: all other requests of the last minute. */
export function rejectionsOf({ errors }: FeedState, others: number): Rejections | null {
  const rejected = errors.filter(({ isRejected }) => isRejected);
  const visible = rejected.map((one) => ({ ...one, requests: one.callerVisible })).filter(({ requests }) => requests > 0);
  const isOfSessions = rejected.every(({ code }) => sessionCodes.has(code));
  if (visible.length > 0) return { text: rejectionText(visible), requests: total(visible), isCallerVisible: true, isOfSessions };
  const requests = total(rejected);
  return requests >= unknownMin && requests > others
    ? { text: rejectionText(rejected), requests, isCallerVisible: false, isOfSessions }
    : null;
}

/** The code that most errors have, as `most with queue_full`; empty: none. */
export function mostWith({ errors }: FeedState): string {
  const visible = byCode(errors.map((one) => ({ ...one, requests: one.callerVisible })));
  const [first] = visible;
  const all = visible.reduce((sum, { requests }) => sum + requests, 0);
  if (first === undefined || first.requests * 2 <= all) return '';
  return `${first.requests === all ? 'all' : 'most'} with ${first.code}${first.code === 'upstream_error' ? ` (${ownErrorText})` : ''}`;
}

/** Why received requests fail; null: not known. */
export function failureReason({ errors }: Pick<FeedState, 'errors'>): string | null {
  const failed = byCode(errors.filter(({ isRejected }) => !isRejected));
  const [first] = failed;
  if (first === undefined) return null;
  const text = failureTexts[first.code] ?? first.code.replaceAll('_', ' ');
  const share = first.requests / total(failed);
  return share >= nearlyAll ? text : `${text} (${percent(share)} of them)`;
}

export function cut(name: string): string {
  return name.length <= nameLengthMax ? name : `${name.slice(0, nameLengthMax - 1)}…`;
}

function rejectionText(rejected: readonly ErrorCount[]): string {
  const [first] = byCode(rejected);
  const { code } = first!;
  const ofCode = rejected.filter((one) => one.code === code).toSorted((a, b) => b.requests - a.requests);
  const model = ofCode[0]!.model;
  const what = `${rejectionTexts[code] ?? code.replaceAll('_', ' ')}${model !== null && code.startsWith('model_') ? ` ${cut(model)}` : ''}`;
  const all = total(rejected);
  const share = first!.requests >= all * nearlyAll ? '' : `${percent(first!.requests / all)} `;
  return `${plural(all, 'request')} of the last minute ${all === 1 ? 'was' : 'were'} rejected: ${share}${what} (${clientsOf(ofCode)}${beforeText(ofCode[0]!)})`;
}

function beforeText({ code, callerVisible }: ErrorCount): string {
  if (callerVisible === 0) return '';
  if (code === 'invalid_api_key' || code === 'not_local') return ', accepted before a reload';
  return code.startsWith('model_') ? ', served before' : '';
}

function clientsOf(ofCode: readonly ErrorCount[]): string {
  const names = ofCode.map(({ client }) => client).filter((client) => client !== null);
  const others = names.length - namesShown;
  if (names.length === 0) return 'client unknown';
  if (names.length === 1) return `client ${cut(names[0]!)}`;
  const shown = names.slice(0, namesShown).map(cut);
  return others > 0 ? `clients ${shown.join(', ')} and ${count(others)} more` : `clients ${shown.join(' and ')}`;
}

function byCode(errors: readonly ErrorCount[]): { code: Code; requests: number }[] {
  const sums = new Map<Code, number>();
  for (const { code, requests } of errors) sums.set(code, (sums.get(code) ?? 0) + requests);
  return Array.from(sums, ([code, requests]) => ({ code, requests })).toSorted((a, b) => b.requests - a.requests);
}

function total(errors: readonly { readonly requests: number }[]): number {
  return errors.reduce((sum, { requests }) => sum + requests, 0);
}
