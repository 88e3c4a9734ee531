/** Which targets a request may ask next, and when (design 4.3). */
import type { Instant } from '../../core/clock.ts';
import type { RepeatTaken, RetryBudget } from '../../policy/retry-budget.ts';
import { ask } from './request-applicant.ts';
import type { AdmissionResult } from '../admission/admission.ts';
import { isOutOfOrder } from '../route/route.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';
import type { RunningAttempts } from '../active/active-request.ts';
import type { RetryState } from './retry-state.ts';

/** Nothing is left to ask: the request has failed. */
export interface Exhausted {
  readonly kind: 'exhausted';
}

const EXHAUSTED: Exhausted = { kind: 'exhausted' };

/**
 * The first attempt goes to whatever the route says. After failures an untried target is asked at once if one can
 * start; else a tried one that may work later is asked again after its backoff, the untried ones staying preferred. The
 * last attempt is theirs, if one can start within half of the time left: no request should fail without having asked everybody.
 * A target for which the request was mended comes first, but is not waited for while another is untried.
 */
export function askNext(retry: RetryState): AdmissionResult | Exhausted | Promise<AdmissionResult | Exhausted> {
  const now = retry.active.engine.clock.now();
  const waitUntil =
    now + (hasStandIn(retry, now) ? Math.min(retry.active.route.patienceMs, retry.active.route.maxWaitMs) : retry.active.route.maxWaitMs);
  if (retry.attempts === 0) return ask(retry, retry.tiers, waitUntil);
  return retry.attempts >= retry.active.route.maxAttempts + retry.repairs ? EXHAUSTED : askAgain(retry, waitUntil);
}

/** A kept answer is at hand, and nobody is in order: it is worth as long a wait as a better tier before a worse one. */
function hasStandIn({ active, hasStale, tiers }: RetryState, now: Instant): boolean {
  return hasStale && tiers.every((tier) => tier.every((target) => isOutOfOrder(target, now, active.source)));
}

/**
 * For a repaired repeat while an attempt at another target still runs: its permit, if it can start at once; null: it waits for what becomes
 * of that attempt. One at the same target may be refused for good, or answer with what was refused here.
 */
export function askRepairedInParallel(retry: RetryState, group: RunningAttempts): AdmissionResult | Promise<AdmissionResult> | null {
  const { repairedFor } = retry;
  if (repairedFor === null || retry.attemptsLeft <= 0 || retry.tried.isDead(repairedFor) || retry.tried.isGuess(repairedFor)) return null;
  if (group.silent.length !== 1 || group.silent[0]!.options.target.state.name === repairedFor.state.name) return null;
  return askRepaired(retry, repairedFor, retry.active.engine.clock.now());
}

async function askAgain(retry: RetryState, waitUntil: Instant): Promise<AdmissionResult | Exhausted> {
  const { clock } = retry.active.engine;
  const untried = untriedTiers(retry);
  const { repairedFor } = retry;
  retry.repairedFor = null;
  if (repairedFor !== null && !retry.tried.isDead(repairedFor)) {
    const result = await askRepaired(retry, repairedFor, untried.length > 0 ? clock.now() : waitUntil);
    if (result.kind !== 'refuse' || untried.length === 0) return result;
  }

  const again = repeatable(retry, clock.now());
  const earliest = Math.min(...again.map((target) => retry.tried.notBefore(target)));
  if (untried.length > 0) {
    // An untried one that is busy may come free before a tried one may be asked again.
    const now = clock.now();
    const isLast = retry.attemptsLeft <= 1;
    const untriedUntil = isLast ? now + (retry.active.deadline - now) / 2 : now;
    const result = await ask(retry, untried, Math.min(waitUntil, Math.max(untriedUntil, earliest)));
    if (result.kind !== 'refuse' || again.length === 0) return result;
  }
  if (again.length === 0) return EXHAUSTED;

  await pause(retry, earliest);
  if (retry.active.isOver) return { kind: 'cancelled' };
  // Others repeated meanwhile: what the budget allowed before the pause may be spent.
  const still = repeatable(retry, clock.now());
  if (still.length === 0 && untried.length === 0) return EXHAUSTED;
  return askRepeat(retry, still, waitUntil);
}

/** Who waits for a repeat has paid for it: others who come meanwhile find the budget smaller. What is not made in the end is given back. */
async function askRepeat(retry: RetryState, again: readonly RouteTarget[], waitUntil: Instant): Promise<AdmissionResult> {
  const { clock } = retry.active.engine;
  const held: { readonly budget: RetryBudget; readonly taken: RepeatTaken }[] = [];
  for (const target of again) {
    const budget = target.state.retryBudget;
    // The credentials of a model share one, and only one of them will be asked.
    if (!retry.tried.isFree(target) && !held.some((one) => one.budget === budget))
      held.push({ budget, taken: budget.take(clock.now(), retry.active.source.client) });
  }
  const result = await ask(retry, withRepeats(retry, again), waitUntil);
  const repeated = result.kind === 'start' && again.includes(result.target) && !retry.tried.isFree(result.target) ? result.target : null;
  for (const { budget, taken } of held) if (budget !== repeated?.state.retryBudget) budget.giveBack(clock.now(), taken);
  retry.budgetReserved = repeated !== null;
  return result;
}

function askRepaired(retry: RetryState, target: RouteTarget, waitUntil: Instant): AdmissionResult | Promise<AdmissionResult> {
  return ask(
    retry,
    retry.active.route.select(`only ${indexOf(retry, target)}`, (candidate) => candidate === target),
    waitUntil,
  );
}

async function pause(retry: RetryState, until: Instant): Promise<void> {
  const { clock, events } = retry.active.engine;
  const at = clock.now();
  if (until <= at) return;
  const reason = retry.failures.at(-1)!.judgement.reason;
  events.emit({ type: 'backoff', requestId: retry.active.request.id, at, delayMs: until - at, reason });
  await retry.active.sleepUntil(until);
}

function untriedTiers(retry: RetryState): Tiers {
  return select(retry, 'untried', (target) => !retry.tried.isAsked(target) && !retry.tried.isDead(target));
}

function withRepeats(retry: RetryState, again: readonly RouteTarget[]): Tiers {
  const key = `repeat ${again.map((target) => indexOf(retry, target)).join()} after`;
  return select(retry, key, (target) => !retry.tried.isAsked(target) && !retry.tried.isDead(target), again);
}

function select(retry: RetryState, key: string, keep: (target: RouteTarget) => boolean, last: readonly RouteTarget[] = []): Tiers {
  const allowed = new Set(retry.tiers.flat());
  const kept = [...allowed].filter(keep).map((target) => indexOf(retry, target));
  return retry.active.route.select(`${key} ${kept.join()}`, (target) => allowed.has(target) && keep(target), last);
}

/** Tried targets that may work later: not before their backoff, within the deadline and their retry budget. */
function repeatable(retry: RetryState, now: Instant): RouteTarget[] {
  return retry.tiers.flat().filter((target) => {
    if (!retry.tried.isAsked(target) || retry.tried.isDead(target)) return false;
    return (
      retry.tried.notBefore(target) < retry.active.deadline &&
      (retry.tried.isFree(target) || target.state.retryBudget.allows(now, retry.active.source.client))
    );
  });
}

function indexOf(retry: RetryState, target: RouteTarget): number {
  return retry.active.route.tiers.flat().indexOf(target);
}
