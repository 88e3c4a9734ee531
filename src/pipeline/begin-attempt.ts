/** An attempt's beginning, with everything that it counts towards, and its end where nobody wants it any more. */
import type { RaceCause } from '../core/events.ts';
import type { Admitted } from './admit.ts';
import { Attempt } from './attempt.ts';
import { settleAttempt, tellBreaker } from './engine.ts';
import { cutFor, noteCut } from './opaque/body-cut.ts';
import { skipReason } from './permission.ts';
import { boundEdits } from './retry/edits.ts';
import { repairsFor } from './retry/repair.ts';
import type { RouteTarget } from './route.ts';
import type { RequestRun } from './run.ts';
import { conversionFor } from './sent-body.ts';
import { tellAttemptEnd } from './verdict-effects.ts';

/**
 * Makes the attempt for a permit; `race`: why it runs beside another one, null: it doesn't. Null: whoever was told of it has ended the
 * request at once, and it is not to be sent.
 */
export function beginAttempt(run: RequestRun, admitted: Admitted, race: RaceCause | null): Attempt | null {
  const { engine } = run;
  const { target, permit } = admitted;
  const { state } = target;
  const now = engine.clock.now();
  run.attempts++;
  run.firstTarget ??= target;
  run.fallback ??= run.attempts === 1 ? skipReason(run, admitted) : null;
  countForBudgets(run, target, race);
  run.tried.markAsked(target);
  const cut = cutFor(run, target, run.tried.stripLevel(target));
  const attempt = new Attempt(engine.clock, {
    number: run.attempts,
    request: run.request,
    target,
    permit,
    deadline: run.deadline,
    conversion: conversionFor(run.request, state),
    repairs: repairsFor(run, target),
    cut,
    signer: state.credential.signer?.begin() ?? null,
    owner: run,
    isOnward: run.broken !== null,
    race,
  });
  state.inFlight++;
  tellBreaker(engine, state); // a permit on an open breaker has made it half-open
  engine.events.emit({
    type: 'attempt',
    requestId: run.request.id,
    at: now,
    attempt: run.attempts,
    target: state.name,
    provider: state.provider,
    credential: state.credential.number,
    queuedMs: run.queueMs,
    probe: state.breaker.state === 'half-open',
    race,
  });
  if (cut !== null) noteCut(run, target, cut);
  const bound = boundEdits(run.request, target);
  if (bound.length > 0) run.note(`${bound.join(', ')} left as it came: signed reasoning in the request is bound to it`, target);
  if (!run.isOver) return attempt;
  attempt.cancel();
  endCancelled(run, attempt);
  return null;
}

/** A hedge earns nothing: whoever it runs beside has paid for it. */
function countForBudgets(run: RequestRun, target: RouteTarget, race: RaceCause | null): void {
  const { state, policy } = target;
  state.rescueBudget.earn();
  if (race === 'hedge') return;
  const now = run.engine.clock.now();
  if (!run.tried.isAsked(target)) state.retryBudget.earn(now, run.source.client);
  else if (!run.tried.isFree(target) && !run.repeatIsPaid) state.retryBudget.take(now, run.source.client);
  run.repeatIsPaid = false;
  if (run.attempts === 1 && policy.hedge.enabled) state.hedgeBudget.earn(policy.hedge.budget);
}

/** The attempt was cancelled: its permit goes back, and it says nothing of its target. */
export function endCancelled(run: RequestRun, attempt: Attempt): void {
  const { target, permit } = attempt.options;
  if (permit.isOpen) settleAttempt(run.engine, target, permit, { usage: attempt.facts.usage, health: 'neutral', unsent: !attempt.sent });
  tellAttemptEnd(run, attempt, 'cancelled', 'cancelled', null);
}
