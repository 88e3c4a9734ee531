/**
 * Errors that match no rule: either the request is at fault, or only this target. One target of another provider or model is
 * tried. If it refuses the request too, the first error ends the request and is attributed to callers for a while; if it fails otherwise,
 * the request continues, and the first error ends it when no target responds.
 */
import type { Failure } from '../../core/facts.ts';
import { CONFIRMED_REFUSAL, errorStatusOf } from '../../policy/verdict.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { errorSignature } from '../../policy/verdict/error-signature.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { RetryState } from './retry-state.ts';

/** The judgement of a failure, given how other targets responded to this request or to similar ones. */
export function withSecondOpinion(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement): Judgement {
  const { active } = retry;
  const { target } = attempt.options;
  const isUnknown = judgement.reason === 'refused';
  const first = retry.broken === null ? retry.refusal : null; // once a target has responded, the first error was that target's own
  if (!isUnknown && first === null) return judgement;
  const now = active.engine.clock.now();
  const signature = errorSignature(failure);
  if (first !== null && first.target.state.name !== target.state.name && confirms(attempt, failure, judgement)) {
    first.target.state.refusals.confirm(now, errorSignature(first.failure));
    if (isUnknown) target.state.refusals.confirm(now, signature);
    return CONFIRMED_REFUSAL;
  }
  if (!isUnknown) return judgement;
  const { refusals } = target.state;
  if (refusals.shouldLog(now, signature)) active.log(`unknown error: ${failure.status ?? 'no status'} ${failure.message}`, target, 'warn');
  return refusals.isCallerError(now, signature) ? CONFIRMED_REFUSAL : judgement;
}

/** True for a refusal of the request itself, not of its key, rate or model. What a local model can't do is no evidence. */
function confirms({ options }: Attempt, failure: Failure, { requestAtFault, reason }: Judgement): boolean {
  const status = errorStatusOf(failure) ?? 0;
  return status >= 400 && status < 500 && requestAtFault && reason !== 'model_not_found' && !options.target.state.runsHere;
}
