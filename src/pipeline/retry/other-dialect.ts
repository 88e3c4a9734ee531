/** Servers that may support a second dialect: if one does not, requests are converted to its main dialect. */
import type { Failure } from '../../core/facts.ts';
import { REPAIRED } from '../../policy/verdict.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { convertRequest } from '../../wire/conversion.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { callerBody } from '../conversion/sent-body.ts';
import type { RetryState } from './retry-state.ts';

/** Retries in the target's main dialect, free of any budget. Null: this would not help. */
export function convertAfter(retry: RetryState, attempt: Attempt, failure: Failure): Judgement | null {
  const { request, target, conversion } = attempt.options;
  const { wire, found } = target.state;
  if (conversion !== null || wire.other !== request.dialect || !wire.mayLackOther || !isUnknownPath(failure)) return null;
  if (!found.lacksOther) retry.active.log(`does not support ${request.path}: requests are converted to ${wire.dialect.name}`, target);
  found.markUnsupported();
  if (!convertRequest(request.dialect, callerBody(request, target.state), request.facts.stream, wire).ok) return null;
  retry.repairFor(target);
  return REPAIRED;
}

/** Retries with the conversation written out, if the target has lost the response that the request refers to. Null: it has not. */
export function writeOutAfter(retry: RetryState, attempt: Attempt, failure: Failure): Judgement | null {
  const { active } = retry;
  const { target } = attempt.options;
  const { history } = active.request;
  if (history?.maker !== target.state.name || !LOST.test(`${failure.code ?? ''} ${failure.message}`)) return null;
  active.request = { ...active.request, history: { ...history, maker: '' } };
  active.note('the response that the request refers to no longer exists: the conversation is sent in full', target);
  retry.repairFor(target);
  return REPAIRED;
}

const LOST = /previous_response_not_found|\bresponse\b.*not found/i;

/** A 404 whose error names one of these is about what the request refers to, not about the path. */
const OF_REQUEST = /model|deployment|\b(?:response|item|file|conversation|container)\b/i;

/** True if the server lacks the path altogether. */
function isUnknownPath({ kind, status, code, param, message }: Failure): boolean {
  if (kind !== 'status') return false;
  if (status === 405 || status === 501) return true;
  return status === 404 && param !== 'model' && !OF_REQUEST.test(`${code ?? ''} ${message}`);
}
