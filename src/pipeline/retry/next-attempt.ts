/** Which targets a request may ask next, and when (design 4.3). */
import type { Instant } from '../../core/clock.ts';
import type { RepeatTaken, RetryBudget } from '../../policy/retry-budget.ts';
import { ask } from '../admission/request-applicant.ts';
import type { AdmissionResult } from '../admission/admission.ts';
import { isOutOfOrder } from '../route/route.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';
import type { Group } from '../run-parts.ts';
import type { RequestRun } from '../run.ts';

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
export function askNext(run: RequestRun): AdmissionResult | Exhausted | Promise<AdmissionResult | Exhausted> {
  const now = run.engine.clock.now();
  const waitUntil = now + (hasStandIn(run, now) ? Math.min(run.route.patienceMs, run.route.maxWaitMs) : run.route.maxWaitMs);
  if (run.attempts === 0) return ask(run, run.tiers, waitUntil);
  return run.attempts >= run.route.maxAttempts + run.repairs ? EXHAUSTED : askAgain(run, waitUntil);
}

/** A kept answer is at hand, and nobody is in order: it is worth as long a wait as a better tier before a worse one. */
function hasStandIn({ shared, tiers, source }: RequestRun, now: Instant): boolean {
  if (shared === null || shared.stale === null) return false;
  return tiers.every((tier) => tier.every((target) => isOutOfOrder(target, now, source)));
}

/**
 * For a repaired repeat while an attempt at another target still runs: its permit, if it can start at once; null: it waits for what becomes
 * of that attempt. One at the same target may be refused for good, or answer with what was refused here.
 */
export function askRepairedBeside(run: RequestRun, group: Group): AdmissionResult | Promise<AdmissionResult> | null {
  const { mendedFor } = run;
  if (mendedFor === null || run.attemptsLeft <= 0 || run.tried.isDead(mendedFor) || run.tried.isGuess(mendedFor)) return null;
  if (group.silent.length !== 1 || group.silent[0]!.options.target.state.name === mendedFor.state.name) return null;
  return askMended(run, mendedFor, run.engine.clock.now());
}

async function askAgain(run: RequestRun, waitUntil: Instant): Promise<AdmissionResult | Exhausted> {
  const { clock } = run.engine;
  const untried = untriedTiers(run);
  const { mendedFor } = run;
  run.mendedFor = null;
  if (mendedFor !== null && !run.tried.isDead(mendedFor)) {
    const result = await askMended(run, mendedFor, untried.length > 0 ? clock.now() : waitUntil);
    if (result.kind !== 'refuse' || untried.length === 0) return result;
  }

  const again = repeatable(run, clock.now());
  const earliest = Math.min(...again.map((target) => run.tried.notBefore(target)));
  if (untried.length > 0) {
    // An untried one that is busy may come free before a tried one may be asked again.
    const now = clock.now();
    const isLast = run.attemptsLeft <= 1;
    const theirTime = isLast ? now + (run.deadline - now) / 2 : now;
    const result = await ask(run, untried, Math.min(waitUntil, Math.max(theirTime, earliest)));
    if (result.kind !== 'refuse' || again.length === 0) return result;
  }
  if (again.length === 0) return EXHAUSTED;

  await pause(run, earliest);
  if (run.isOver) return { kind: 'cancelled' };
  // Others repeated meanwhile: what the budget allowed before the pause may be spent.
  const still = repeatable(run, clock.now());
  if (still.length === 0 && untried.length === 0) return EXHAUSTED;
  return askRepeat(run, still, waitUntil);
}

/** Who waits for a repeat has paid for it: others who come meanwhile find the budget smaller. What is not made in the end is given back. */
async function askRepeat(run: RequestRun, again: readonly RouteTarget[], waitUntil: Instant): Promise<AdmissionResult> {
  const { clock } = run.engine;
  const held: { readonly budget: RetryBudget; readonly taken: RepeatTaken }[] = [];
  for (const target of again) {
    const budget = target.state.retryBudget;
    // The credentials of a model share one, and only one of them will be asked.
    if (!run.tried.isFree(target) && !held.some((one) => one.budget === budget))
      held.push({ budget, taken: budget.take(clock.now(), run.source.client) });
  }
  const result = await ask(run, withRepeats(run, again), waitUntil);
  const repeated = result.kind === 'start' && again.includes(result.target) && !run.tried.isFree(result.target) ? result.target : null;
  for (const { budget, taken } of held) if (budget !== repeated?.state.retryBudget) budget.giveBack(clock.now(), taken);
  run.repeatIsPaid = repeated !== null;
  return result;
}

function askMended(run: RequestRun, target: RouteTarget, waitUntil: Instant): AdmissionResult | Promise<AdmissionResult> {
  return ask(
    run,
    run.route.select(`only ${indexOf(run, target)}`, (candidate) => candidate === target),
    waitUntil,
  );
}

async function pause(run: RequestRun, until: Instant): Promise<void> {
  const { clock, events } = run.engine;
  const at = clock.now();
  if (until <= at) return;
  const reason = run.failures.at(-1)!.judgement.reason;
  events.emit({ type: 'backoff', requestId: run.request.id, at, delayMs: until - at, reason });
  await run.sleepUntil(until);
}

function untriedTiers(run: RequestRun): Tiers {
  return select(run, 'untried', (target) => !run.tried.isAsked(target) && !run.tried.isDead(target));
}

function withRepeats(run: RequestRun, again: readonly RouteTarget[]): Tiers {
  const key = `repeat ${again.map((target) => indexOf(run, target)).join()} after`;
  return select(run, key, (target) => !run.tried.isAsked(target) && !run.tried.isDead(target), again);
}

function select(run: RequestRun, key: string, keep: (target: RouteTarget) => boolean, last: readonly RouteTarget[] = []): Tiers {
  const allowed = new Set(run.tiers.flat());
  const kept = [...allowed].filter(keep).map((target) => indexOf(run, target));
  return run.route.select(`${key} ${kept.join()}`, (target) => allowed.has(target) && keep(target), last);
}

/** Tried targets that may work later: not before their backoff, within the deadline and their retry budget. */
function repeatable(run: RequestRun, now: Instant): RouteTarget[] {
  return run.tiers.flat().filter((target) => {
    if (!run.tried.isAsked(target) || run.tried.isDead(target)) return false;
    return (
      run.tried.notBefore(target) < run.deadline && (run.tried.isFree(target) || target.state.retryBudget.allows(now, run.source.client))
    );
  });
}

function indexOf(run: RequestRun, target: RouteTarget): number {
  return run.route.tiers.flat().indexOf(target);
}
