/** An attempt's beginning, with everything that it counts towards, and its end where nobody wants it any more. */
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
import type { RetryState } from '../retry/retry-state.ts';
import { conversionFor } from '../conversion/sent-body.ts';
import { emitAttemptEnd } from '../settle/attempt-end.ts';

/**
 * Makes the attempt for a permit; `race`: why it runs beside another one, null: it doesn't. Null: whoever was told of it has ended the
 * request at once, and it is not to be sent.
 */
export function beginAttempt(retry: RetryState, admitted: Admitted, race: RaceCause | null): Attempt | null {
  const { engine } = retry.active;
  const { target, permit } = admitted;
  const { state } = target;
  const now = engine.clock.now();
  retry.attempts++;
  retry.firstTarget ??= target;
  retry.fallback ??= retry.attempts === 1 ? skipReason(retry, admitted) : null;
  countForBudgets(retry, target, race);
  retry.tried.markAsked(target);
  const cut = cutFor(retry, target, retry.tried.stripLevel(target));
  const attempt = new Attempt(engine.clock, {
    number: retry.attempts,
    request: retry.active.request,
    target,
    permit,
    deadline: retry.active.deadline,
    conversion: conversionFor(retry.active.request, state),
    repairs: repairsFor(retry, target),
    cut,
    owner: retry.active,
    alternatives: retry,
    isContinuation: retry.broken !== null,
    race,
  });
  state.inFlight++;
  emitBreakerChange(engine, state); // a permit on an open breaker has made it half-open
  engine.events.emit({
    type: 'attempt',
    requestId: retry.active.request.id,
    at: now,
    attempt: retry.attempts,
    target: state.name,
    provider: state.provider,
    credential: state.credential.number,
    queuedMs: retry.active.queueMs,
    probe: state.breaker.state === 'half-open',
    race,
  });
  if (cut !== null) noteCut(retry, target, cut);
  const bound = boundEdits(retry.active.request, target);
  if (bound.length > 0) retry.active.note(`${bound.join(', ')} left as it came: signed reasoning in the request is bound to it`, target);
  if (!retry.active.isOver) return attempt;
  attempt.cancel();
  endCancelled(retry, attempt);
  return null;
}

/** A hedge earns nothing: whoever it runs beside has paid for it. */
function countForBudgets(retry: RetryState, target: RouteTarget, race: RaceCause | null): void {
  const { state, policy } = target;
  state.rescueBudget.earn();
  if (race === 'hedge') return;
  const now = retry.active.engine.clock.now();
  if (!retry.tried.isAsked(target)) state.retryBudget.earn(now, retry.active.source.client);
  else if (!retry.tried.isFree(target) && !retry.budgetReserved) state.retryBudget.take(now, retry.active.source.client);
  retry.budgetReserved = false;
  if (retry.attempts === 1 && policy.hedge.enabled) state.hedgeBudget.earn(policy.hedge.budget);
}

/** The attempt was cancelled: its permit goes back, and it says nothing of its target. */
export function endCancelled(retry: RetryState, attempt: Attempt): void {
  const { target, permit } = attempt.options;
  if (permit.isOpen)
    settleAttempt(retry.active.engine, target, permit, { usage: attempt.facts.usage, health: 'neutral', unsent: !attempt.sent });
  emitAttemptEnd(retry.active, attempt, 'cancelled', 'cancelled', null);
}

/** Why the first choice was passed over before any attempt failed. */
function skipReason(retry: RetryState, admitted: Admitted): Reason | null {
  if (admitted.target.tier === 0) return null;
  const first = retry.tiers[0]![0]!;
  const now = retry.active.engine.clock.now();
  if (first.tier > 0) return 'incapable';
  if (isKeyOutOfOrder(first.state, now, retry.active.source)) return 'benched';
  if (first.state.breaker.state === 'isolated') return 'isolated';
  if (first.state.breaker.state !== 'closed' || first.state.breaker.isRamping) return 'open';
  return 'rate_limited';
}
