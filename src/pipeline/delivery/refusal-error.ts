/** The errors of requests that were not admitted, or ran out of time. */
import type { Instant } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { Blocker } from '../../core/events.ts';
import type { ResourceKind } from '../../core/resource.ts';
import type { Refusal } from '../../policy/scheduler/types.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import { RequestApplicant } from '../retry/request-applicant.ts';
import type { RetryState } from '../retry/retry-state.ts';
import type { RouteTarget } from '../route/route.ts';
import type { Output } from './output.ts';
import { whyUnavailable } from './why-unavailable.ts';

/** Retry-after while running requests hold the rest of a budget, in milliseconds. */
const RESERVED_RETRY_MS = 1_000;
/** Retry-after where only a target that is out of service for an unknown time could serve the request, in milliseconds. */
const OUT_RETRY_MS = 60_000;
/** The wall clock, by which periods end, and the monotonic one differ by less between two reads, in milliseconds. */
const CLOCKS_MS = 100;
/** Timers may fire early by this, in milliseconds. */
const ROUNDING_MS = 1;

/** The error of a request that was not admitted and never sent. */
export function refusalError(output: Output, refused: Refusal): BreakwaterError {
  const { active, retry, engine } = output;
  const now = engine.clock.now();
  const waitMs = refused.earliest === null ? null : Math.max(0, refused.earliest - now);
  const model = JSON.stringify(active.route.name);
  if (refused.why === 'queue_full') {
    return new BreakwaterError('queue_full', 'the queue is full; retry later, or lower the load', {
      retryAfterMs: waitMs === null ? 1000 : Math.max(1000, waitMs),
    });
  }
  if (isOverBudget(refused, retry)) return isAffordable(refused) ? budgetError(output, refused, now) : tooExpensiveError(output, refused);
  if (refused.why === 'expired' && now >= active.deadline) return deadlineError(retry, refused.blockers);
  if (refused.earliest === null && isTooLarge(refused)) {
    const { name } = active.request.client;
    const whose = isTooLargeForClient(refused) ? `client ${JSON.stringify(name)}` : `any target for ${model}`;
    return new BreakwaterError('capability_unsupported', `the request needs more tokens at once than the limits of ${whose} allow`);
  }
  if (refused.limited) {
    const isUnknown = waitsForUnknownEnd(output, refused);
    const cure = isItem(active) ? '' : isUnknown ? UNKNOWN_END : cureFor(retry, waitMs, refused.why);
    return new BreakwaterError('rate_limited', `every target for ${model} is held back by limits (${describe(refused.blockers)})${cure}`, {
      retryAfterMs: isUnknown ? null : waitMs,
    });
  }
  const limitsOf = ({ key }: RouteTarget): string =>
    retry.failures.find(({ target }) => target.key === key)?.failure.message ??
    describe(refused.blockers.filter(({ target }) => target === key));
  const why = whyUnavailable(retry.tiers, active.source, now, limitsOf);
  return new BreakwaterError('no_target_available', `no target for ${model} can be used (${why})`, { retryAfterMs: waitMs });
}

/** What takes a target out of service, unlike a limit. */
const OUT_OF_SERVICE: ReadonlySet<Blocker['kind']> = new Set(['breaker', 'quarantine', 'pause']);

/** True if the budget of the client has no room for the request on any of the targets that are in service. */
function isOverBudget({ blockers }: Refusal, { tiers }: RetryState): boolean {
  const overBudget = targetsBlockedBy(blockers, (kind) => kind === 'budget');
  const out = targetsBlockedBy(blockers, (kind) => OUT_OF_SERVICE.has(kind));
  return overBudget.size > 0 && tiers.every((tier) => tier.every(({ key }) => overBudget.has(key) || out.has(key)));
}

function targetsBlockedBy(blockers: readonly Blocker[], isOne: (kind: Blocker['kind']) => boolean): Set<string> {
  return new Set(blockers.filter(({ kind }) => isOne(kind)).map(({ target }) => target));
}

interface OtherTargets {
  /** `; b/m: isolated by hand`; empty: there are none. */
  readonly text: string;
  /** Until one of them may be used again; null: unknown. */
  readonly waitMs: number | null;
}

/** The targets that the budget has room for: out of service, or the refusal would not be the budget's. */
function otherTargets({ active, retry, engine }: Output, { blockers }: Refusal): OtherTargets {
  const overBudget = targetsBlockedBy(blockers, (kind) => kind === 'budget');
  const others = retry.tiers.map((tier) => tier.filter(({ key }) => !overBudget.has(key)));
  const why = whyUnavailable(others, active.source, engine.clock.now(), ({ key }) =>
    describe(blockers.filter(({ target }) => target === key)),
  );
  // A target can be used once all that blocks it has ended.
  const waits = new Map<string, number>();
  for (const { target, waitMs } of blockers)
    if (!overBudget.has(target)) waits.set(target, Math.max(waits.get(target) ?? 0, waitMs ?? Infinity));
  const waitMs = Math.min(...waits.values());
  return { text: why === '' ? '' : `; ${why}`, waitMs: waitMs < Infinity ? waitMs : null };
}

/** False if its cost exceeds all of the budget on every target in service: no period has room for it. */
function isAffordable({ blockers }: Refusal): boolean {
  return blockers.some(({ kind, waitMs }) => kind === 'budget' && waitMs !== Infinity);
}

function tooExpensiveError(output: Output, refused: Refusal): BreakwaterError {
  const { active, retry } = output;
  const others = otherTargets(output, refused);
  const { name, budget } = active.request.client;
  const applicant = new RequestApplicant(retry, retry.tiers, active.deadline);
  const overBudget = targetsBlockedBy(refused.blockers, (kind) => kind === 'budget');
  const costs = retry.tiers
    .flat()
    .filter(({ key }) => overBudget.has(key))
    .map((target) => applicant.needOn(target).usd ?? 0);
  const cost = usd(Number(Math.min(...costs).toPrecision(3)));
  return new BreakwaterError(
    'budget_exceeded',
    `the estimated cost of this request, ${cost}, is more than the budget of client ${JSON.stringify(name)}, ${usd(budget!.usd)} per ${budget!.per}; lower max_tokens, or raise the budget${others.text}`,
    // Without a time the refusal would be final, as for a batch.
    { retryAfterMs: others.text === '' ? null : (others.waitMs ?? OUT_RETRY_MS) },
  );
}

function budgetError(output: Output, refused: Refusal, now: Instant): BreakwaterError {
  const { active } = output;
  const { blockers } = refused;
  const others = otherTargets(output, refused);
  const { name } = active.request.client;
  const budget = active.request.client.budget!;
  const text = `the budget of client ${JSON.stringify(name)}, ${usd(budget.usd)} per ${budget.per}, has no room for this request: ${usd(budget.spentUsd(now))} spent`;
  const nextMs = budget.nextPeriod(now) - now;
  // Running requests, here or at other instances, may cost less than they have reserved.
  const mayReturn = blockers.some(({ kind, waitMs }) => kind === 'budget' && (waitMs === null || waitMs + CLOCKS_MS < nextMs));
  if (mayReturn) {
    return new BreakwaterError(
      'budget_exceeded',
      `${text}, and the rest is reserved for running requests, here or at other instances; retry later${others.text}`,
      {
        retryAfterMs: RESERVED_RETRY_MS,
      },
    );
  }
  const nextAt = new Date(budget.untilMs(now)).toISOString();
  return new BreakwaterError('budget_exceeded', `${text}; the next ${budget.per} begins at ${nextAt}${others.text}`, {
    retryAfterMs: Math.min(nextMs, others.waitMs ?? Infinity),
  });
}

function usd(amount: number): string {
  return `$${Number(amount.toPrecision(6))}`;
}

/** Of a batch or in the background: it runs again by itself, and its caller has no deadline to change. */
function isItem({ request }: ActiveRequest): boolean {
  return request.beforeSending !== undefined;
}

const UNKNOWN_END = ': running calls hold every slot of a concurrency limit, and it is unknown when one ends; retry later, or use a batch';

/**
 * True if only the end of running calls could have let the request start, and that end is unpredictable: it waited too long, or callers that
 * do not read their responses hold slots.
 */
function waitsForUnknownEnd({ engine, active, retry }: Output, { why, blockers }: Refusal): boolean {
  if (why === 'expired' && active.queueMs + ROUNDING_MS >= active.route.maxWaitMs) return false; // its own limit
  const ofRunning = blockers.filter(({ kind, waitMs }) => kind === 'concurrency' && waitMs === null);
  if (ofRunning.length === 0 || ofRunning.length < blockers.length) return false;
  const held = new Set(ofRunning.map(({ target }) => target));
  return (
    why === 'expired' || retry.tiers.some((tier) => tier.some(({ key, resources }) => held.has(key) && engine.stalled.holdsAny(resources)))
  );
}

function cureFor(retry: RetryState, waitMs: number | null, why: Refusal['why']): string {
  const { active } = retry;
  const { engine, route } = active;
  const now = engine.clock.now();
  if (why === 'expired' && active.queueMs + ROUNDING_MS >= route.maxWaitMs)
    return ': queue.maxWait was over; a longer one, or a batch, would have sufficed';
  if (waitMs === null) return '';
  // The request must not only start by then, but also be answered.
  const { usualMs } = new RequestApplicant(retry, retry.tiers, active.deadline);
  const neededMs = Math.ceil(now + waitMs + usualMs - active.startedAt);
  return `: a deadline of ${Math.ceil(neededMs / 1000)} s (x-breakwater-deadline-ms: ${neededMs}) would have sufficed, or a batch`;
}

export function deadlineError(retry: RetryState, blockers: readonly Blocker[] = []): BreakwaterError {
  const { active } = retry;
  const totalMs = Math.round(active.deadline - active.startedAt);
  const queueMs = Math.round(active.queueMs);
  const parts = [`${queueMs} ms waiting for capacity${blockers.length === 0 ? '' : ` (${describe(blockers)})`}`];
  for (const { target, failure, judgement } of retry.failures) {
    parts.push(`${target.state.name}: ${judgement.reason === 'auth' ? 'refused the configured credential' : failure.message}`);
  }
  const now = active.engine.clock.now();
  for (const { options, startedAt } of active.group?.silent ?? []) {
    parts.push(`${options.target.state.name}: no response within ${Math.round(now - startedAt)} ms`);
  }
  const isOver = now >= active.deadline;
  const what = isOver ? 'has passed' : 'leaves too little time';
  return new BreakwaterError('deadline_exceeded', `the deadline of ${totalMs} ms ${what}: ${parts.join('; ')}`);
}

/** Limits that a request may exceed on its own, so that no time helps. */
const SIZE_LIMITS: ReadonlySet<Blocker['kind']> = new Set(['tokens', 'requests', 'client', 'budget']);

const isTooSmall = ({ kind, waitMs }: Blocker): boolean => waitMs === Infinity && SIZE_LIMITS.has(kind);

/** True if the request is too large for every target that it waits for: none of them has only another obstacle, such as an open breaker. */
function isTooLarge({ blockers }: Refusal): boolean {
  const never = new Set(blockers.filter(isTooSmall).map(({ target }) => target));
  return never.size > 0 && blockers.every(({ target }) => never.has(target));
}

function isTooLargeForClient({ blockers }: Refusal): boolean {
  return blockers.filter(isTooSmall).every(({ kind }) => kind === 'client');
}

const WORDS: Readonly<Record<ResourceKind | 'incapable', string>> = {
  requests: 'request limit',
  tokens: 'token limit',
  concurrency: 'concurrency limit',
  cooldown: 'cooling down',
  pause: 'paused',
  quarantine: 'quarantined',
  breaker: 'breaker open',
  client: "the client's own limit",
  budget: 'budget',
  incapable: 'incapable',
};

const LISTED_MAX = 8;

function describe(blockers: readonly Blocker[]): string {
  const listed = blockers.slice(0, LISTED_MAX).map((blocker) => {
    const { waitMs } = blocker;
    const until = waitMs === null ? '' : waitMs === Infinity ? ', for good' : ` for ${(waitMs / 1000).toFixed(1)} s`;
    return `${blocker.target}: ${WORDS[blocker.kind]}${until}`;
  });
  return listed.length === 0 ? 'busy' : listed.join('; ');
}
