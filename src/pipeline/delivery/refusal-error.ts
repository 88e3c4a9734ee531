/** The errors of requests that were not admitted, or ran out of time. */
import type { Instant } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { Blocker } from '../../core/events.ts';
import type { ResourceKind } from '../../core/resource.ts';
import type { Refusal } from '../../policy/scheduler/types.ts';
import { RequestApplicant } from '../retry/request-applicant.ts';
import type { RetryState } from '../retry/retry-state.ts';
import type { RouteTarget } from '../route/route.ts';
import type { Output } from './output.ts';
import { whyUnavailable } from './why-unavailable.ts';

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
  if (isOverBudget(refused, retry)) return budgetError(output, refused, now);
  if (refused.why === 'expired' && now >= active.deadline) return deadlineError(retry, refused.blockers);
  if (refused.earliest === null && isIncapable(refused)) {
    return new BreakwaterError(
      'capability_unsupported',
      `the request needs more tokens at once than the limits of any target for ${model} allow`,
    );
  }
  if (refused.limited) {
    const isUnknown = waitsForUnknownEnd(output, refused);
    const cure = isUnknown ? UNKNOWN_END : cureFor(retry, waitMs, refused.why);
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

/** True if the budget of the client has no room for the request on any of its targets. */
function isOverBudget({ blockers }: Refusal, { tiers }: RetryState): boolean {
  const blocked = new Set(blockers.filter(({ kind }) => kind === 'budget').map(({ target }) => target));
  return blocked.size > 0 && tiers.every((tier) => tier.every(({ key }) => blocked.has(key)));
}

function budgetError({ active, retry }: Output, { blockers }: Refusal, now: Instant): BreakwaterError {
  const budget = active.request.client.budget!;
  const named = `budget of client ${JSON.stringify(active.request.client.name)}, ${usd(budget.usd)} per ${budget.per}`;
  if (blockers.every(({ kind, waitMs }) => kind !== 'budget' || waitMs === Infinity)) {
    const estimate = usd(leastEstimate(retry));
    const text = `the request is estimated at ${estimate}, more than the whole ${named}: lower its output limit, shorten it, or raise the budget`;
    return new BreakwaterError('budget_exceeded', text);
  }
  const nextPeriod = budget.nextPeriod(now);
  const begins = new Date(active.engine.clock.epochMs() + nextPeriod - now).toISOString();
  const text = `the ${named}, has no room for this request: ${usd(budget.spentUsd(now))} spent; the next ${budget.per} begins at ${begins}`;
  return new BreakwaterError('budget_exceeded', text, { retryAfterMs: nextPeriod - now });
}

/** The estimated cost on the cheapest target, in US dollars. */
function leastEstimate(retry: RetryState): number {
  const applicant = new RequestApplicant(retry, retry.tiers, retry.active.deadline);
  return Math.min(...retry.tiers.flatMap((tier) => tier.map((target) => applicant.needOn(target).usd ?? 0)));
}

function usd(amount: number): string {
  return `$${Number(amount.toPrecision(6))}`;
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

function isIncapable(refused: Refusal): boolean {
  return refused.blockers.some((b) => b.waitMs === Infinity && (b.kind === 'tokens' || b.kind === 'requests'));
}

const WORDS: Readonly<Record<ResourceKind | 'incapable', string>> = {
  requests: 'request limit',
  tokens: 'token limit',
  concurrency: 'concurrency limit',
  cooldown: 'cooling down',
  bench: 'quarantined',
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
