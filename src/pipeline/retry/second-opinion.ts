/**
 * Errors that no rule knows (design 4.2): the request may be at fault, or only this target. One target of another provider or model is
 * asked. If it refuses the request too, the first error ends the request, and counts as the caller's own for a while; if it fails
 * otherwise, the request goes on, and the first error ends it when nothing else answers.
 */
import type { Failure } from '../../core/facts.ts';
import { CONFIRMED_REFUSAL, errorStatusOf } from '../../policy/verdict.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { errorSignature } from '../../policy/verdict/error-signature.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { RetryState } from './retry-state.ts';

/** What a failure counts as, given what other targets said of the request, or of others like it. */
export function withSecondOpinion(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement): Judgement {
  const { target } = attempt.options;
  const isUnknown = judgement.reason === 'refused';
  const first = retry.broken === null ? retry.refusal : null; // once a target has answered, the first error was that target's own
  if (!isUnknown && first === null) return judgement;
  const now = retry.active.engine.clock.now();
  const signature = errorSignature(failure);
  if (first !== null && first.target.state.name !== target.state.name && confirms(attempt, failure, judgement)) {
    first.target.state.refusals.confirm(now, errorSignature(first.failure));
    if (isUnknown) target.state.refusals.confirm(now, signature);
    return CONFIRMED_REFUSAL;
  }
  if (!isUnknown) return judgement;
  const { refusals } = target.state;
  if (refusals.isNews(now, signature))
    retry.active.log(`no rule knows this error: ${failure.status ?? 'no status'} ${failure.message}`, target, 'warn');
  return refusals.isCallers(now, signature) ? CONFIRMED_REFUSAL : judgement;
}

/** True if it is a refusal of the request, not of its key, rate or model. What a model on this machine can't do says nothing of the request. */
function confirms({ options }: Attempt, failure: Failure, { requestAtFault, reason }: Judgement): boolean {
  const status = errorStatusOf(failure) ?? 0;
  return status >= 400 && status < 500 && requestAtFault && reason !== 'model_not_found' && !options.target.state.runsHere;
}
