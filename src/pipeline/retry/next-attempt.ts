/** Selects the targets that a request may try next, and when. */
import type { Instant } from '../../core/clock.ts';
import type { RetryTaken, RetryBudget } from '../../policy/retry-budget.ts';
import { deliveredPermit } from './delivered-permit.ts';
import { requestPermit } from './request-applicant.ts';
import type { AdmissionResult } from '../admission/admission.ts';
import { isOutOfOrder } from '../route/route.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';
import type { RunningAttempts } from '../active/active-request.ts';
import type { RetryState } from './retry-state.ts';

/** No target is left: the request has failed. */
export interface Exhausted {
  readonly kind: 'exhausted';
}

const EXHAUSTED: Exhausted = { kind: 'exhausted' };

/**
 * The first attempt follows the route. After a failure, an untried target is tried at once if one can start; otherwise a tried target is
 * retried after its backoff, with untried ones still preferred. The last attempt is reserved for an untried target that can start within
 * half of the remaining time, so that a request tries every target before it fails. A target that the request was repaired for comes
 * first, but is not waited for while another is untried.
 */
export function nextPermit(retry: RetryState): AdmissionResult | Exhausted | Promise<AdmissionResult | Exhausted> {
  const { active } = retry;
  const now = active.engine.clock.now();
  const waitUntil = now + (hasStandIn(retry, now) ? Math.min(active.route.patienceMs, active.route.maxWaitMs) : active.route.maxWaitMs);
  if (retry.attempts === 0) {
    const { delivered } = active.request;
    return delivered === undefined ? requestPermit(retry, retry.tiers, waitUntil) : deliveredPermit(retry, delivered);
  }
  return retry.attempts >= active.route.maxAttempts + retry.repairs ? EXHAUSTED : permitAfterFailure(retry, waitUntil);
}

/** True if an expired cached response exists and every target is out of order: then the wait is limited to `patience`. */
function hasStandIn({ active, hasStale, tiers }: RetryState, now: Instant): boolean {
  return hasStale && tiers.every((tier) => tier.every((target) => isOutOfOrder(target, now, active.source)));
}

/**
 * The permit for a repaired retry in parallel with an attempt at another target, if it can start at once; null: it waits for the outcome
 * of that attempt. One at the same target may be refused for the same reason, or succeed.
 */
export function parallelRepairedPermit(retry: RetryState, group: RunningAttempts): AdmissionResult | Promise<AdmissionResult> | null {
  const { repairedFor } = retry;
  if (repairedFor === null || retry.attemptsLeft <= 0 || retry.tried.isExcluded(repairedFor) || retry.tried.isGuess(repairedFor))
    return null;
  if (group.silent.length !== 1 || group.silent[0]!.options.target.state.name === repairedFor.state.name) return null;
  return permitForRepaired(retry, repairedFor, retry.active.engine.clock.now());
}

async function permitAfterFailure(retry: RetryState, waitUntil: Instant): Promise<AdmissionResult | Exhausted> {
  const { active } = retry;
  const { clock } = active.engine;
  const untried = untriedTiers(retry);
  const { repairedFor } = retry;
  retry.repairedFor = null;
  if (repairedFor !== null && !retry.tried.isExcluded(repairedFor)) {
    const result = await permitForRepaired(retry, repairedFor, untried.length > 0 ? clock.now() : waitUntil);
    if (result.kind !== 'refuse' || untried.length === 0) return result;
  }

  const again = repeatable(retry, clock.now());
  const earliest = Math.min(...again.map((target) => retry.tried.notBefore(target)));
  if (untried.length > 0) {
    // A busy untried target may become free before a tried one may be retried.
    const now = clock.now();
    const isLast = retry.attemptsLeft <= 1;
    const untriedUntil = isLast ? now + (active.deadline - now) / 2 : now;
    const result = await requestPermit(retry, untried, Math.min(waitUntil, Math.max(untriedUntil, earliest)));
    if (result.kind !== 'refuse' || again.length === 0) return result;
  }
  if (again.length === 0) return EXHAUSTED;

  await pause(retry, earliest);
  if (active.isOver) return { kind: 'cancelled' };
  // Other requests may have used up the retry budget during the pause.
  const still = repeatable(retry, clock.now());
  if (still.length === 0 && untried.length === 0) return EXHAUSTED;
  return permitForRetry(retry, still, waitUntil);
}

/** A waiting retry is charged to the retry budget in advance, so that concurrent requests see what is left; unused charges are returned. */
async function permitForRetry(retry: RetryState, again: readonly RouteTarget[], waitUntil: Instant): Promise<AdmissionResult> {
  const { active } = retry;
  const { clock } = active.engine;
  const held: { readonly budget: RetryBudget; readonly taken: RetryTaken }[] = [];
  for (const target of again) {
    const budget = target.state.retryBudget;
    // The credentials of a model share one budget, and only one of them is retried.
    if (!retry.tried.isBudgetWaived(target) && !held.some((one) => one.budget === budget))
      held.push({ budget, taken: budget.take(clock.now(), active.source.client) });
  }
  const result = await requestPermit(retry, withRepeats(retry, again), waitUntil);
  const repeated =
    result.kind === 'start' && again.includes(result.target) && !retry.tried.isBudgetWaived(result.target) ? result.target : null;
  for (const { budget, taken } of held) if (budget !== repeated?.state.retryBudget) budget.giveBack(clock.now(), taken);
  retry.budgetReserved = repeated !== null;
  return result;
}

function permitForRepaired(retry: RetryState, target: RouteTarget, waitUntil: Instant): AdmissionResult | Promise<AdmissionResult> {
  return requestPermit(
    retry,
    retry.active.route.select(`only ${indexOf(retry, target)}`, (candidate) => candidate === target),
    waitUntil,
  );
}

async function pause(retry: RetryState, until: Instant): Promise<void> {
  const { active } = retry;
  const { clock, events } = active.engine;
  const at = clock.now();
  if (until <= at) return;
  const reason = retry.failures.at(-1)!.judgement.reason;
  events.emit({ type: 'backoff', requestId: active.request.id, at, delayMs: until - at, reason });
  await active.sleepUntil(until);
}

function untriedTiers(retry: RetryState): Tiers {
  return select(retry, 'untried', (target) => !retry.tried.wasTried(target) && !retry.tried.isExcluded(target));
}

function withRepeats(retry: RetryState, again: readonly RouteTarget[]): Tiers {
  const key = `repeat ${again.map((target) => indexOf(retry, target)).join()} after`;
  return select(retry, key, (target) => !retry.tried.wasTried(target) && !retry.tried.isExcluded(target), again);
}

function select(retry: RetryState, key: string, keep: (target: RouteTarget) => boolean, last: readonly RouteTarget[] = []): Tiers {
  const allowed = new Set(retry.tiers.flat());
  const kept = [...allowed].filter(keep).map((target) => indexOf(retry, target));
  return retry.active.route.select(`${key} ${kept.join()}`, (target) => allowed.has(target) && keep(target), last);
}

/** Tried targets that may be retried within the deadline and their retry budget. */
function repeatable(retry: RetryState, now: Instant): RouteTarget[] {
  const { active, tried } = retry;
  return retry.tiers.flat().filter((target) => {
    if (!tried.wasTried(target) || tried.isExcluded(target)) return false;
    return (
      tried.notBefore(target) < active.deadline &&
      (tried.isBudgetWaived(target) || target.state.retryBudget.allows(now, active.source.client))
    );
  });
}

function indexOf(retry: RetryState, target: RouteTarget): number {
  return retry.active.route.tiers.flat().indexOf(target);
}
