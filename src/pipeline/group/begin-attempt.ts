/** Starts and cancels attempts, with everything they are counted in. */
import type { Instant } from '../../core/clock.ts';
import type { RaceCause } from '../../core/events.ts';
import type { Admitted } from '../admission/admission.ts';
import { Attempt } from '../attempt/attempt.ts';
import { emitBreakerChange, settleAttempt } from '../settle/settle-attempt.ts';
import { cutFor, noteCut } from '../retry/body-cut.ts';
import type { Reason } from '../../core/outcome.ts';
import { isKeyOutOfOrder } from '../route/route.ts';
import { boundEdits } from '../attempt/edits.ts';
import { repairsFor } from '../retry/repair.ts';
import type { RouteTarget } from '../route/route.ts';
import { RequestApplicant } from '../retry/request-applicant.ts';
import type { RetryState } from '../retry/retry-state.ts';
import { conversionFor } from '../conversion/sent-body.ts';
import { emitAttemptEnd } from '../settle/attempt-end.ts';
import { usageWhenCutOff } from '../settle/settle-response.ts';

/**
 * Creates the attempt for a permit. `race`: why it runs in parallel with another one; null: it does not. Returns null if a listener of the
 * `attempt` event ended the request: then it must not be sent.
 */
export function beginAttempt(retry: RetryState, admitted: Admitted, race: RaceCause | null): Attempt | null {
  const { active, tried } = retry;
  const { engine, request } = active;
  const { target, permit } = admitted;
  const { state } = target;
  const now = engine.clock.now();
  retry.attempts++;
  retry.firstTarget ??= target;
  retry.fallback ??= retry.attempts === 1 ? skipReason(retry, admitted) : null;
  countForBudgets(retry, target, race, now);
  tried.markTried(target);
  const spanId = request.trace?.nextSpanId() ?? null;
  const cut = cutFor(retry, target, tried.stripLevel(target));
  const attempt = new Attempt(engine.clock, now, {
    number: retry.attempts,
    request,
    target,
    permit,
    deadline: active.deadline,
    conversion: conversionFor(request, state),
    repairs: repairsFor(retry, target),
    cut,
    signer: state.credential.signer?.begin() ?? null,
    owner: active,
    alternatives: retry,
    isContinuation: retry.broken !== null,
    race,
    spanId,
  });
  state.inFlight++;
  emitBreakerChange(engine, state); // a permit makes an open breaker half-open
  engine.events.emit({
    type: 'attempt',
    requestId: request.id,
    at: now,
    attempt: retry.attempts,
    target: state.name,
    provider: state.provider,
    credential: state.credential.number,
    queuedMs: active.queueMs,
    probe: state.breaker.state === 'half-open',
    race,
    ...(spanId !== null && { spanId }),
  });
  if (cut !== null) noteCut(retry, target, cut);
  const bound = boundEdits(request, target);
  if (bound.length > 0) active.note(`${bound.join(', ')} left unchanged: signed reasoning in the request is bound to it`, target);
  if (!active.isOver) return attempt;
  attempt.cancel();
  endCancelled(retry, attempt);
  return null;
}

/** A hedge does not earn retry budget: it is charged to the attempt it runs beside. */
function countForBudgets(retry: RetryState, target: RouteTarget, race: RaceCause | null, now: Instant): void {
  const { state, policy } = target;
  const { tried } = retry;
  const { source } = retry.active;
  state.rescueBudget.earn();
  if (race === 'hedge') return;
  if (!tried.wasTried(target)) state.retryBudget.earn(now, source.client);
  else if (!tried.isBudgetWaived(target) && !retry.budgetReserved) state.retryBudget.take(now, source.client);
  retry.budgetReserved = false;
  if (retry.attempts === 1 && policy.hedge.enabled) state.hedgeBudget.earn(policy.hedge.budget);
}

/** Returns the permit of a cancelled attempt, which shows nothing about its target. */
export function endCancelled(retry: RetryState, attempt: Attempt): void {
  const { target, permit } = attempt.options;
  if (permit.isOpen)
    settleAttempt(retry.active.engine, target, permit, { usage: usageWhenCutOff(attempt), health: 'neutral', unsent: !attempt.sent });
  emitAttemptEnd(retry.active, attempt, 'cancelled', 'cancelled', null);
}

/** Why the first choice was skipped before any attempt failed. */
function skipReason(retry: RetryState, admitted: Admitted): Reason | null {
  if (admitted.target.tier === 0) return null;
  if (admitted.target.isOverBudget === true) return 'budget';
  const first = retry.tiers[0]![0]!;
  const now = retry.active.engine.clock.now();
  if (first.tier > 0) return 'incapable';
  if (isKeyOutOfOrder(first.state, now, retry.active.source)) return 'quarantined';
  if (first.state.breaker.state === 'isolated') return 'isolated';
  if (first.state.breaker.state !== 'closed' || first.state.breaker.isRamping) return 'open';
  const { budget } = retry.active.request.client;
  const applicant = new RequestApplicant(retry, retry.tiers, retry.active.deadline);
  return budget?.isOver(now, applicant.needOn(first)) === true ? 'budget' : 'rate_limited';
}
