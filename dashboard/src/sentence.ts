/**
 * The sentence at the top: the state and its biggest cause, then the impact on callers. It answers what is wrong,
 * whether callers notice, and what happens next. Pure.
 */
import type { FeedState, Point, Tone } from './frames.ts';
import { clockTime, count, duration, percent, plural } from './format.ts';
import { sumOf, valueOf } from './points.ts';
import { isFailing, type TargetRow } from './target-rows.ts';

/** Period over which the impact on callers is measured, in milliseconds. */
const impactMs = 60_000;
/** Errors up to this share of requests are not alarming. */
const errorShareQuiet = 0.01;
/** Waits up to this long are normal when a limit is reached, in milliseconds. */
const waitQuietMs = 2_000;
/** A pause that ends within this time is shown as a duration, a later one as a time of day. */
const soonMs = 60_000;
/** A budget with this part left, or less, is mentioned. */
const budgetLowShare = 0.1;
const budgetWeightMax = 2_500;
/** Below every other cause of errors. */
const budgetWeightMinor = 100;
/** Refusals by a budget are counted over this long. */
const budgetMs = 300_000;
/** Longer names of clients are cut, so that the rest of the sentence stays visible. */
const nameLengthMax = 32;
const othersShown = 3;
const endShownDays = 30;

export interface Sentence {
  readonly tone: Tone;
  /** The biggest cause. */
  readonly headline: string;
  /** The impact on callers. */
  readonly impact: string;
  /** Other problems. */
  readonly others: readonly string[];
}

interface Trouble {
  readonly kind: 'target' | 'queue' | 'budget';
  readonly tone: Tone;
  /** Larger weights come first. */
  readonly weight: number;
  readonly text: string;
}

export function sentenceOf(state: FeedState, points: readonly Point[], rows: readonly TargetRow[]): Sentence {
  const callers = impactOf(state, points);
  const isWaiting = state.status.queue.waiting > 0;
  const troubles = [...rows.map((row) => troubleOf(row, state.at, isWaiting)), queueTrouble(state), budgetTrouble(state, points)]
    .filter((trouble) => trouble !== null)
    .toSorted((a, b) => b.weight - a.weight);
  if (state.phase === 'draining') {
    const running = plural(state.status.queue.inFlight, 'request');
    return { tone: 'warn', headline: 'Shutting down: new requests are refused.', impact: `${running} still running.`, others: [] };
  }
  const [biggest, ...others] = troubles;
  const isQueue = biggest !== undefined && biggest.kind === 'queue';
  const tone = callers.tone === 'bad' || biggest?.tone !== 'bad' ? worst(callers.tone, biggest?.tone ?? 'good') : 'warn';
  return {
    tone,
    headline: biggest === undefined ? quietHeadline(state, callers) : `${biggest.text}.`,
    impact: isQueue ? callers.text : `${callers.text}${callers.waits}`,
    others: [...others.filter(({ kind }) => kind !== 'queue').map(({ text }) => text), ...endTexts(state)].slice(0, othersShown),
  };
}

/** Models that end within a month, the nearest first. They are no trouble yet, so they never are the headline. */
function endTexts({ status }: FeedState): string[] {
  return status.endings
    .filter(({ daysLeft }) => daysLeft <= endShownDays)
    .toSorted((a, b) => a.daysLeft - b.daysLeft)
    .map(({ target, endsOn, daysLeft, successor }) => {
      const when = daysLeft > 0 ? `is shut down on ${endsOn}` : `was shut down on ${endsOn}`;
      return `the model of ${target} ${when}${successor === null ? '' : `; its successor is ${successor}`}`;
    });
}

function quietHeadline(state: FeedState, callers: Impact): string {
  if (callers.tone === 'bad') return 'Requests fail although no target is failing.';
  if (callers.requests === 0)
    return state.status.targets.length === 0 ? 'No target has been used yet.' : 'Quiet: no requests in the last minute.';
  return 'All targets respond.';
}

interface Impact {
  readonly tone: Tone;
  readonly text: string;
  /** Starts with a space; empty if no wait is worth mentioning. */
  readonly waits: string;
  readonly requests: number;
}

function impactOf(state: FeedState, points: readonly Point[]): Impact {
  const { at, rates, status } = state;
  const recent = points.filter((point) => (valueOf(point, 'at') ?? 0) >= at - impactMs);
  const isEarly = sumOf(recent, 'received') === 0;
  const ok = isEarly ? rates.succeeded : sumOf(recent, 'succeeded');
  const failed = isEarly ? rates.failed + rates.refused : sumOf(recent, 'failed') + sumOf(recent, 'refused');
  const requests = ok + failed;
  const { waiting, oldestMs } = status.queue;
  const isLong = waiting > 0 && (oldestMs >= waitQuietMs || requests === 0);
  const waits = isLong
    ? ` ${count(waiting)} ${waiting === 1 ? 'waits' : 'wait'}, the longest for ${duration(oldestMs)}${nextStart(state)}.`
    : '';
  if (requests === 0)
    return { tone: 'good', text: waiting === 0 ? 'Nothing waits.' : 'No request completed in the last minute.', waits, requests };
  const share = failed / requests;
  if (failed === 0)
    return { tone: 'good', text: `Callers see no errors: ${plural(ok, 'request')} completed in the last minute.`, waits, requests };
  const tone = share > errorShareQuiet ? 'bad' : 'good';
  return {
    tone,
    text: `Callers see errors: ${count(failed)} of ${plural(requests, 'request')} in the last minute (${percent(share)}).`,
    waits,
    requests,
  };
}

/** When a new request of the largest waiting group would start. */
function nextStart({ status }: FeedState): string {
  const startsInMs = status.queue.groups[0]?.startsInMs ?? null;
  return startsInMs === null ? '' : `; one more would start in ${duration(startsInMs)}`;
}

function troubleOf(row: TargetRow, now: number, isWaiting: boolean): Trouble | null {
  const { name, calls, failed, causes } = row;
  const cause = causes[0] === undefined ? '' : `, ${causes[0].count === failed ? 'all' : 'most'} with ${causes[0].text}`;
  const how = failed === 0 ? '' : `: ${count(failed)} of ${plural(calls, 'call')} failed${cause}`;
  switch (row.state) {
    case 'breaker open':
      return { kind: 'target', tone: 'bad', weight: 4_000 + failed, text: `${name} is down${how}${soon(row.waitMs, now, '; next probe')}` };
    case 'key refused':
    case 'quota spent':
      return {
        kind: 'target',
        tone: 'bad',
        weight: 5_000 + failed,
        text: `${name}: ${row.state}${soon(row.waitMs, now, ', tried again')}`,
      };
    case 'isolated':
      return { kind: 'target', tone: 'warn', weight: 1_000, text: `${name} is isolated by an operator` };
    case 'cooldown':
      return { kind: 'target', tone: 'warn', weight: 500 + failed, text: `${name} is limited${until(row.waitMs, now)}` };
    case 'at its limit':
      // A used-up limit is reported only if requests wait for it.
      return isWaiting ? { kind: 'target', tone: 'warn', weight: 300, text: `${name} is at its limit (${row.detail ?? ''})` } : null;
  }
  if (isFailing(row)) return { kind: 'target', tone: 'bad', weight: 3_000 + failed, text: `${name} is failing${how}` };
  return row.tone === 'warn' && row.detail !== null ? { kind: 'target', tone: 'warn', weight: 50, text: `${name}: ${row.detail}` } : null;
}

function queueTrouble({ status }: FeedState): Trouble | null {
  const { waiting, oldestMs } = status.queue;
  if (waiting === 0 || oldestMs < waitQuietMs) return null;
  return {
    kind: 'queue',
    tone: 'warn',
    weight: 200,
    text: `${plural(waiting, 'request waits', 'requests wait')}, the longest for ${duration(oldestMs)}`,
  };
}

/** Clients whose requests are refused because their budgets are spent; otherwise the budget that is nearest to it. */
function budgetTrouble({ at, clients, status }: FeedState, points: readonly Point[]): Trouble | null {
  const [first, ...others] = clients.filter(({ overBudget }) => overBudget > 0).toSorted((a, b) => b.overBudget - a.overBudget);
  if (first !== undefined) {
    const refused = others.reduce((sum, { overBudget }) => sum + overBudget, first.overBudget);
    const whose =
      others.length === 0
        ? `the budget of client ${cut(first.client)} is`
        : `the budgets of client ${cut(first.client)} and ${plural(others.length, 'other')} are`;
    const text = `${plural(refused, 'request')} refused in 5 minutes: ${whose} spent`;
    const recent = points.filter((point) => (valueOf(point, 'at') ?? 0) >= at - budgetMs);
    const errors = sumOf(recent, 'failed') + sumOf(recent, 'refused');
    // Something else is behind most errors.
    const isMinor = errors > 2 * refused;
    return { kind: 'budget', tone: 'warn', weight: isMinor ? budgetWeightMinor : 3_000 + Math.min(refused, budgetWeightMax), text };
  }
  const [low] = status.clientLimits
    .filter(({ kind, limit, available }) => kind === 'budget' && available <= limit * budgetLowShare)
    .toSorted((a, b) => a.available / a.limit - b.available / b.limit);
  if (low === undefined) return null;
  return {
    kind: 'budget',
    tone: 'warn',
    weight: 40,
    text: `Budget of client ${cut(low.client)} is ${percent(1 - low.available / low.limit)} spent`,
  };
}

function cut(name: string): string {
  return name.length <= nameLengthMax ? name : `${name.slice(0, nameLengthMax - 1)}…`;
}

function until(waitMs: number | null, now: number): string {
  if (waitMs === null) return '';
  return waitMs < soonMs ? ` for ${duration(waitMs)}` : ` until ${clockTime(now + waitMs)}`;
}

function soon(waitMs: number | null, now: number, what: string): string {
  if (waitMs === null) return '';
  return waitMs < soonMs ? `${what} in ${duration(waitMs)}` : `${what} at ${clockTime(now + waitMs)}`;
}

const order: readonly Tone[] = ['good', 'info', 'warn', 'bad'];

function worst(a: Tone, b: Tone): Tone {
  return order.indexOf(a) > order.indexOf(b) ? a : b;
}
