/** Credentials that have run out before their time: the request is repeated once at the same target with renewed ones. */
import type { Failure } from '../../core/facts.ts';
import { REPAIRED } from '../../policy/verdict.ts';
import type { Judgement } from '../../policy/verdict.ts';
import type { Attempt } from '../attempt.ts';
import type { RequestRun } from '../run.ts';

/** A 403 may have other reasons; these words are about the credentials of the request. */
const CREDENTIALS = /expired|unrecognizedclient|security token|invalid ?signature|signature .{0,40}(?:not match|not current)/i;

function isRefusal({ status, code, message }: Failure): boolean {
  return status === 401 || (status === 403 && CREDENTIALS.test(`${code ?? ''} ${message}`));
}

/** At the expense of no budget. Null: that would not help. */
export function renewAfter(run: RequestRun, attempt: Attempt, failure: Failure): Judgement | null {
  const { target, signer } = attempt.options;
  const { credential } = target.state;
  if (signer === null || failure.kind !== 'status' || failure.phase === 'connect') return null;
  if (!isRefusal(failure)) return null;
  const isAgain = run.failures.some(
    (earlier) => earlier.isRepaired && earlier.target.state.credential === credential && isRefusal(earlier.failure),
  );
  if (isAgain || !signer.renew()) return null;
  run.note('the credentials were refused: asked again with renewed ones', target);
  run.tried.markFree(target);
  run.mendedFor = target;
  run.repairs++;
  return REPAIRED;
}
