/** Servers that may have a dialect beside their main one: one that turns out not to is asked in its main dialect. */
import type { Failure } from '../../core/facts.ts';
import { REPAIRED } from '../../policy/verdict.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { convertRequest } from '../../wire/conversion.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { callerBody } from '../conversion/sent-body.ts';
import type { RetryState } from './retry-state.ts';

/** Has the request asked again in the target's main dialect, at the expense of no budget. Null: that would not help. */
export function convertAfter(retry: RetryState, attempt: Attempt, failure: Failure): Judgement | null {
  const { request, target, conversion } = attempt.options;
  const { wire, found } = target.state;
  if (conversion !== null || wire.other !== request.dialect || !wire.mayLackOther || !isUnknownPath(failure)) return null;
  if (!found.lacksOther) retry.active.log(`has no ${request.path}: requests are converted to ${wire.dialect.name}`, target);
  found.noteLack();
  if (!convertRequest(request.dialect, callerBody(request, target.state), request.facts.stream, wire).ok) return null;
  retry.tried.waiveBudget(target);
  retry.repairedFor = target;
  retry.repairs++;
  return REPAIRED;
}

/** The maker of a response that the request refers to doesn't have it any more: it gets the conversation written out. Null: that is not so. */
export function writeOutAfter(retry: RetryState, attempt: Attempt, failure: Failure): Judgement | null {
  const { target } = attempt.options;
  const { history } = retry.active.request;
  if (history?.maker !== target.state.name || !LOST.test(`${failure.code ?? ''} ${failure.message}`)) return null;
  retry.active.request = { ...retry.active.request, history: { ...history, maker: '' } };
  retry.active.note('the response that the request refers to is lost: the conversation is written out', target);
  retry.tried.waiveBudget(target);
  retry.repairedFor = target;
  retry.repairs++;
  return REPAIRED;
}

const LOST = /previous_response_not_found|\bresponse\b.*not found/i;

/** What the request refers to may be unknown with the same status, and is named in the error. */
const OF_REQUEST = /model|deployment|\b(?:response|item|file|conversation|container)\b/i;

/** True if the server does not have the path at all. */
function isUnknownPath({ kind, status, code, param, message }: Failure): boolean {
  if (kind !== 'status') return false;
  if (status === 405 || status === 501) return true;
  return status === 404 && param !== 'model' && !OF_REQUEST.test(`${code ?? ''} ${message}`);
}
