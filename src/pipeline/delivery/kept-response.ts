/**
 * The fallback for requests whose responses all fail the quality check. One is kept: that with the longest real content,
 * otherwise the earliest. A response without any (no bytes, `choices: []`, no finished choice) is reported without a body and never kept.
 */
import type { Failure } from '../../core/facts.ts';
import type { FailedQualityCheck } from '../../core/quality.ts';
import { usableLength } from '../../policy/quality/quality.ts';
import { encodeComment } from '../../wire/sse/comment.ts';
import { addCostHeader, ownHeaders, metadataComment, metadataHeaders } from './response-headers.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { KeptResponse, Output } from './output.ts';
import { settleCompleted } from '../settle/settle-response.ts';
import { emitAttemptEnd } from '../settle/attempt-end.ts';

/** Keeps a complete but empty response; any other replaces it. */
export function keepEmpty(output: Output, attempt: Attempt, failure: Failure): void {
  if (failure.kind === 'empty' && failure.body !== null && output.kept === null)
    output.keep(keptResponse(output, attempt, failure.body, 'empty', 0));
}

/** Keeps a complete response that failed its quality check, unless a better one is kept. */
export function keepFailedQuality(output: Output, attempt: Attempt, failedCheck: FailedQualityCheck): void {
  const length = usableLength(attempt.readChoices(), failedCheck);
  if (output.kept === null || length > output.kept.length)
    output.keep(keptResponse(output, attempt, attempt.takeWhole(), failedCheck, length));
  else attempt.drop();
}

/** True if the response is empty and the policy accepts that. */
export function isAcceptedEmpty(attempt: Attempt, failure: Failure): boolean {
  return failure.kind === 'empty' && failure.body !== null && attempt.options.target.quality.rules.acceptsEmpty;
}

/** Responds with an accepted empty response. */
export function respondWithEmpty(output: Output, attempt: Attempt, failure: Failure): void {
  const { active } = output;
  settleCompleted(active, attempt);
  emitAttemptEnd(active, attempt, 'success', null, null);
  respondWith(output, keptResponse(output, attempt, failure.body!, 'empty', 0), null);
}

/** Responds with the kept response, marked with its failed check. */
export function respondWithKept(output: Output, kept: KeptResponse): void {
  output.active.note(`no better response: this one is returned, marked ${kept.failedCheck}`, kept.target);
  respondWith(output, kept, kept.failedCheck);
}

function keptResponse(output: Output, attempt: Attempt, body: Uint8Array, failedCheck: FailedQualityCheck, length: number): KeptResponse {
  const { target, number } = attempt.options;
  const { status, facts } = attempt;
  return { attempt: number, target, status, headers: ownHeaders(output, attempt), body, usage: facts.usage, failedCheck, length };
}

function respondWith(output: Output, kept: KeptResponse, mark: FailedQualityCheck | null): void {
  const { downstream, active } = output;
  active.spending.deliver(kept.attempt);
  if (downstream.isStarted) {
    const quality = mark === null ? '' : ` quality=${mark}`;
    downstream.endWith(Buffer.concat([encodeComment(metadataComment(output, kept.target) + quality), kept.body]));
  } else {
    const headers = [...metadataHeaders(output, kept.target), ...kept.headers];
    if (mark !== null) headers.push('x-breakwater-quality', mark);
    if (!active.request.facts.stream) addCostHeader(headers, output);
    headers.push('content-length', String(kept.body.byteLength));
    downstream.respond(kept.status, headers, kept.body, kept.usage, mark !== null);
  }
  output.succeedWithKept(kept);
}
