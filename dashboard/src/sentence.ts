/**
 * The sentence at the top: the state and its biggest cause, then the impact on callers. It answers what is wrong,
 * whether callers notice, and what happens next. Pure.
 */
import { overBudgetOf } from './budgets.ts';
import { harmOf, type CauseKind, type Harm } from './harm.ts';
import { cut, failureReason, mostWith, rejectionsOf } from './caller-errors.ts';
import type { ClientLimit, FeedState, Point, Tone } from './frames.ts';
import { clockTime, count, dollars, duration, percent, plural } from './format.ts';
import { recentPoints, sumOf } from './points.ts';
import { isFailing, recentFailures, type TargetRow } from './target-rows.ts';

/** Period over which the impact on callers is measured, in milliseconds. */
const impactMs = 60_000;
/** Errors up to this share of requests are not alarming. */
const errorShareQuiet = 0.01;
/** Waits up to this long are normal when a limit is reached, in milliseconds. */
const waitQuietMs = 2_000;
/** A pause that ends within this time is shown as a duration, a later one as a time of day. */
const soonMs = 60_000;
const dayMs = 86_400_000;
/** A budget with this part left, or less, is mentioned. */
const budgetLowShare = 0.1;
const budgetWeightMax = 2_500;
/** Below every other cause of errors. */
const budgetWeightMinor = 100;
/** Refusals by a budget are counted over this long. */
const budgetMs = 300_000;
/** A budget with this part left, or less, is spent: estimates are rarely that small. */
const budgetSpentShare = 0.001;
/** Above every other cause. */
const rejectionWeight = 100_000;
const rejectionWeightMinor = 150;
const nextProbe = 'probed with the next request';
const othersShown = 3;
const limitsShown = 2;
const budgetsShown = 3;
const endShownDays = 30;

export interface Sentence {
  readonly tone: Tone;
  /** The biggest cause. */
  readonly headline: string;
  /** The impact on callers. */
  readonly impact: string;
  /** Other problems, the biggest first. */
  readonly others: readonly string[];
}

interface Trouble {
  readonly kind: CauseKind;
  readonly tone: Tone;
  /** Among those that explain as many errors, larger weights come first. */
  readonly weight: number;
  readonly text: string;
  /** Mentioned with the other problems, but never the headline. */
  readonly isMinor?: boolean;
}

export function sentenceOf(state: FeedState, points: readonly Point[], rows: readonly TargetRow[]): Sentence {
  const callers = impactOf(state, points);
  const troubles = [
    ...rows.map((row) => troubleOf(row, state.at)),
    limitTrouble(state, rows),
    queueTrouble(state),
    ...budgetTroubles(state, points),
    rejectionTrouble(state, callers),
  ].filter((trouble) => trouble !== null);
  const harm = harmOf(state.errors, callers.errors);
  if (state.phase === 'draining') {
    const running = plural(state.status.queue.inFlight, 'request');
    return { tone: 'warn', headline: 'Shutting down: new requests are refused.', impact: `${running} still running.`, others: [] };
  }
  const minor = troubles.filter(({ isMinor }) => isMinor === true);
  const [biggest, ...others] = ranked(
    troubles.filter((trouble) => !minor.includes(trouble)),
    harm,
    callers,
  );
  const isQueue = biggest !== undefined && biggest.kind === 'queue';
  const main = callers.tone === 'bad' || biggest?.tone !== 'bad' ? worst(callers.tone, biggest?.tone ?? 'good') : 'warn';
  const tone = minor.reduce((worse, one) => worst(worse, one.tone), main);
  return {
    tone,
    headline: biggest === undefined ? quietHeadline(state, callers) : `${whyPrefix(state, callers, biggest)}${biggest.text}.`,
    impact: isQueue ? callers.text : `${callers.text}${callers.waits}`,
    others: [...[...others, ...minor].filter(({ kind }) => kind !== 'queue').map(({ text }) => text), ...endTexts(state)],
  };
}

/** What explains the most errors that callers see now comes first, before what harms none of them. */
function ranked(troubles: readonly Trouble[], { explained, others }: Harm, { tone }: Impact): Trouble[] {
  const sorted = troubles.toSorted((a, b) => explained[b.kind] - explained[a.kind] || b.weight - a.weight);
  const [first] = sorted;
  const unexplained = others.reduce((sum, { callerVisible }) => sum + callerVisible, 0);
  if (first === undefined || tone !== 'bad' || unexplained <= explained[first.kind]) return sorted;
  const reason = failureReason({ errors: others });
  return [{ kind: 'rejection', tone: 'bad', weight: 0, text: `Requests fail: ${reason}` }, ...sorted];
}

/** The other problems in one line. Where it is cut, the number says how many there are. */
export function othersText(others: readonly string[]): string {
  if (others.length === 0) return '';
  const shown = others.slice(0, othersShown).join('; ');
  if (others.length === 1) return `Also: ${shown}.`;
  return `Also ${count(others.length)} other problems: ${shown}${others.length > othersShown ? '; …' : '.'}`;
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

/** Where requests fail for want of room, the error says more than which limit is behind it. */
function whyPrefix(state: FeedState, { tone }: Impact, { kind }: Trouble): string {
  const reason = tone === 'bad' && (kind === 'limit' || kind === 'queue') ? failureReason(state) : null;
  return reason === null ? '' : `Requests fail, as ${reason}: `;
}

function quietHeadline(state: FeedState, callers: Impact): string {
  if (callers.tone === 'bad') {
    const reason = failureReason(state);
    return `Requests fail although no target is failing${reason === null ? '' : `: ${reason}`}.`;
  }
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
  readonly errors: number;
}

function impactOf(state: FeedState, points: readonly Point[]): Impact {
  const { at, rates, status } = state;
  const recent = recentPoints(points, at, impactMs);
  const isEarly = sumOf(recent, 'received') + sumOf(recent, 'rejected') === 0;
  const ok = isEarly ? rates.succeeded : sumOf(recent, 'succeeded');
  const failed = isEarly
    ? rates.failed + rates.refused + rates.rejected
    : sumOf(recent, 'failed') + sumOf(recent, 'refused') + sumOf(recent, 'rejected');
  const requests = ok + failed;
  const { waiting, oldestMs } = status.queue;
  const isLong = waiting > 0 && (oldestMs >= waitQuietMs || requests === 0);
  const waits = isLong
    ? ` ${count(waiting)} ${waiting === 1 ? 'waits' : 'wait'}, the longest for ${duration(oldestMs)}${nextStart(state)}.`
    : '';
  if (requests === 0)
    return {
      tone: 'good',
      text: waiting === 0 ? 'Nothing waits.' : 'No request completed in the last minute.',
      waits,
      requests,
      errors: 0,
    };
  const share = failed / requests;
  if (failed === 0)
    return {
      tone: 'good',
      text: `Callers see no errors: ${plural(ok, 'request')} completed in the last minute.`,
      waits,
      requests,
      errors: 0,
    };
  const tone = share > errorShareQuiet ? 'bad' : 'good';
  const most = mostWith(state);
  return {
    tone,
    text: `Callers see errors: ${count(failed)} of ${plural(requests, 'request')} in the last minute (${percent(share)})${most === '' ? '' : `, ${most}`}.`,
    waits,
    requests,
    errors: failed,
  };
}

/** When a new request of the largest waiting group would start. */
function nextStart({ status }: FeedState): string {
  const startsInMs = status.queue.groups[0]?.startsInMs ?? null;
  return startsInMs === null ? '' : `; one more would start in ${duration(startsInMs)}`;
}

function troubleOf(row: TargetRow, now: number): Trouble | null {
  const { name, calls, failed, causes } = row;
  const cause = causes[0] === undefined ? '' : `, ${causes[0].count === failed ? 'all' : 'most'} with ${causes[0].text}`;
  const how = failed === 0 ? '' : `: ${count(failed)} of ${plural(calls, 'call')} failed${cause}`;
  switch (row.state) {
    case 'breaker open':
      // Without requests it is neither probed nor missed.
      if (row.tone === 'warn') return { kind: 'target', tone: 'warn', weight: 60, text: `${name}: breaker open, ${nextProbe}` };
      return {
        kind: 'target',
        tone: 'bad',
        weight: 4_000 + recentFailures(row),
        text: `${name} is down${how}${row.waitMs === 0 ? `; ${nextProbe}` : soon(row.waitMs, now, '; next probe')}`,
      };
    case 'key refused':
    case 'quota spent':
      return {
        kind: 'target',
        tone: 'bad',
        weight: 5_000 + recentFailures(row),
        text: `${name}: ${row.state}${soon(row.waitMs, now, ', tried again')}`,
      };
    case 'isolated':
      return { kind: 'target', tone: 'warn', weight: 1_000, text: `${name} is isolated by an operator` };
    case 'cooldown':
      return { kind: 'limit', tone: 'warn', weight: 500 + recentFailures(row), text: `${name} is limited${until(row.waitMs, now)}` };
    case 'at its limit':
      return null;
  }
  if (isFailing(row)) return { kind: 'target', tone: 'bad', weight: 3_000 + recentFailures(row), text: `${name} is failing${how}` };
  return row.tone === 'warn' && row.detail !== null ? { kind: 'target', tone: 'warn', weight: 50, text: `${name}: ${row.detail}` } : null;
}

/** A used-up limit is reported only if requests wait for it. */
function limitTrouble({ status }: FeedState, rows: readonly TargetRow[]): Trouble | null {
  const full = rows.filter(({ state }) => state === 'at its limit');
  const [first] = full;
  if (status.queue.waiting === 0 || first === undefined) return null;
  if (full.length === 1) return { kind: 'limit', tone: 'warn', weight: 300, text: `${first.name} is at its limit (${first.detail ?? ''})` };
  const shown = full.slice(0, limitsShown).map(({ name, detail }) => `${name} (${detail ?? ''})`);
  const more = full.length - shown.length;
  const names = more > 0 ? `${shown.join(', ')} and ${count(more)} more` : shown.join(' and ');
  return { kind: 'limit', tone: 'warn', weight: 300, text: `${names} are at their limits` };
}

function queueTrouble({ status }: FeedState): Trouble | null {
  const { waiting, oldestMs, groups } = status.queue;
  if (waiting === 0 || oldestMs < waitQuietMs) return null;
  const why = groups[0]?.why ?? [];
  const what = why.length > 0 && why.every(({ kind }) => kind === 'budget') ? ' for room in a budget' : '';
  return {
    kind: 'queue',
    tone: 'warn',
    weight: 200,
    text: `${plural(waiting, 'request waits', 'requests wait')}${what}, the longest for ${duration(oldestMs)}`,
  };
}

/** Requests that were rejected before a target was chosen: the main cause if they are half of the errors. */
function rejectionTrouble(state: FeedState, { requests, errors, tone }: Impact): Trouble | null {
  const rejections = rejectionsOf(state, requests);
  if (rejections === null) return null;
  const { text, isCallerVisible } = rejections;
  const isMain = isCallerVisible && tone === 'bad' && rejections.requests * 2 >= errors;
  if (isMain) return { kind: 'rejection', tone: 'bad', weight: rejectionWeight, text };
  // A session that its limit stops is what the limit is for.
  const minorTone = rejections.isOfSessions ? 'good' : 'warn';
  return { kind: 'rejection', tone: minorTone, weight: rejectionWeightMinor, text, isMinor: isCallerVisible };
}

/** Clients whose budgets had no room for requests, and further budgets that are nearly spent. */
function budgetTroubles({ at, clients, status }: FeedState, points: readonly Point[]): Trouble[] {
  const budgets = status.clientLimits.filter(({ kind }) => kind === 'budget');
  const refusing = clients
    .map((activity) => ({ client: activity.client, budget: budgets.find(({ client }) => client === activity.client), activity }))
    .map(({ client, budget, activity }) => ({ client, budget: budget ?? null, overBudget: overBudgetOf(activity, budget) }))
    .filter(({ overBudget }) => overBudget > 0)
    .toSorted((a, b) => b.overBudget - a.overBudget);
  const troubles: Trouble[] = [];
  if (refusing.length > 0) {
    const refused = refusing.reduce((sum, { overBudget }) => sum + overBudget, 0);
    const text = `${plural(refused, 'request')} refused in 5 minutes: ${noRoom(refusing, at)}`;
    const recent = recentPoints(points, at, budgetMs);
    const errors = sumOf(recent, 'failed') + sumOf(recent, 'refused') + sumOf(recent, 'rejected');
    // Something else is behind most errors.
    const isMinor = errors > 2 * refused;
    const weight = isMinor ? budgetWeightMinor : 3_000 + Math.min(refused, budgetWeightMax);
    troubles.push({ kind: 'budget', tone: 'warn', weight, text });
  }
  const low = budgets
    .filter(({ client, limit, available }) => available <= limit * budgetLowShare && refusing.every((one) => one.client !== client))
    .toSorted((a, b) => a.available / a.limit - b.available / b.limit);
  if (low.length > 0) troubles.push({ kind: 'budget', tone: 'warn', weight: 40, text: lowText(low) });
  return troubles;
}

/** `budgets`: the nearest to its end first. */
function lowText(budgets: readonly ClientLimit[]): string {
  const spentOf = ({ limit, available }: ClientLimit): string => percent(1 - available / limit);
  const [first] = budgets;
  if (budgets.length === 1) return `Budget of client ${cut(first!.client)} is ${spentOf(first!)} spent`;
  return `Budgets of clients ${listed(budgets.map((budget) => `${cut(budget.client)} (${spentOf(budget)})`))} are nearly spent`;
}

interface OverBudget {
  readonly client: string;
  /** Null: not known. */
  readonly budget: ClientLimit | null;
}

/** `refusing`: the clients with refused requests, that with the most of them first. */
function noRoom(refusing: readonly OverBudget[], now: number): string {
  const isSpent = refusing.every(({ budget }) => budget !== null && budget.available <= budget.limit * budgetSpentShare);
  const { client, budget } = refusing[0]!;
  if (refusing.length > 1)
    return `the budgets of clients ${listed(refusing.map((one) => cut(one.client)))} ${isSpent ? 'are spent' : 'had no room for them'}`;
  if (budget === null) return `the budget of client ${cut(client)} had no room for them`;
  const { available, limit, renewsInMs = null } = budget;
  if (isSpent) return `the budget of client ${cut(client)} is spent${renewal(renewsInMs, now)}`;
  return `the budget of client ${cut(client)} has too little left for them (${dollars(available)} of ${dollars(limit)})`;
}

/** `a, b and 3 more` */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, budgetsShown);
  const more = names.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${count(more)} more` : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)!}`;
}

function renewal(waitMs: number | null, now: number): string {
  if (waitMs === null || waitMs < dayMs) return soon(waitMs, now, ', renewed');
  return `, renewed in ${plural(Math.round(waitMs / dayMs), 'day')}`;
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
