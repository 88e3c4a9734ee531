/** Credentials that expired early: the request is repeated once at the same target with renewed ones. */
import type { Failure } from '../../core/facts.ts';
import { REPAIRED } from '../../policy/verdict.ts';
import type { Judgement } from '../../policy/verdict.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { RetryState } from './retry-state.ts';

/** A 403 may have other causes; these words name the credentials of the request. */
const CREDENTIALS = /expired|unrecognizedclient|security token|invalid ?signature|signature .{0,40}(?:not match|not current)/i;

function isRefusal({ status, code, message }: Failure): boolean {
  return status === 401 || (status === 403 && CREDENTIALS.test(`${code ?? ''} ${message}`));
}

/** Retries at once with renewed credentials, free of any budget. Null: that would not help. */
export function renewAfter(retry: RetryState, attempt: Attempt, failure: Failure): Judgement | null {
  const { target, signer } = attempt.options;
  const { credential } = target.state;
  if (signer === null || failure.kind !== 'status' || failure.phase === 'connect') return null;
  if (!isRefusal(failure)) return null;
  const isAgain = retry.failures.some(
    (earlier) => earlier.isRepaired && earlier.target.state.credential === credential && isRefusal(earlier.failure),
  );
  if (isAgain || !signer.renew()) return null;
  retry.active.note('the credentials were refused: retried with renewed ones', target);
  retry.repairFor(target);
  return REPAIRED;
}
