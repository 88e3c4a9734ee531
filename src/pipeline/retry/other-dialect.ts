/** Servers that may have a dialect beside their main one: one that turns out not to is asked in its main dialect. */
import type { Failure } from '../../core/facts.ts';
import { REPAIRED } from '../../policy/verdict.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { convertRequest } from '../../wire/conversion.ts';
import type { Attempt } from '../attempt.ts';
import type { RequestRun } from '../run.ts';

/** Has the request asked again in the target's main dialect, at the expense of no budget. Null: that would not help. */
export function convertAfter(run: RequestRun, attempt: Attempt, failure: Failure): Judgement | null {
  const { request, target, conversion } = attempt.options;
  const { wire, found } = target.state;
  if (conversion !== null || wire.other !== request.dialect || !wire.mayLackOther || !isUnknownPath(failure)) return null;
  if (!found.lacksOther) run.tell(`has no ${request.path}: requests are converted to ${wire.dialect.name}`, target);
  found.lacksOther = true;
  if (!convertRequest(request.dialect, request.body, request.facts.stream, wire).ok) return null;
  run.tried.markFree(target);
  run.mendedFor = target;
  run.repairs++;
  return REPAIRED;
}

/** An unknown model has the same status, and is named in the error. */
function isUnknownPath({ kind, status, code, param, message }: Failure): boolean {
  if (kind !== 'status') return false;
  if (status === 405 || status === 501) return true;
  return status === 404 && param !== 'model' && !/model|deployment/i.test(`${code ?? ''} ${message}`);
}
