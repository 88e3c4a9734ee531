/**
 * Whole answers that are not good enough (design 4.6): better than none, if all fall short. One is kept, that with the longest real
 * content, else the earliest. What holds no answer at all (no bytes, `choices: []`, no choice that came to its end) comes without its
 * body, and is never one of them.
 */
import type { Failure } from '../../core/facts.ts';
import type { Shortfall } from '../../core/quality.ts';
import { realLength } from '../../policy/quality/quality.ts';
import { encodeComment } from '../../wire/sse/comment.ts';
import { addCostHeader, ownHeaders, metadataComment, metadataHeaders } from './response-headers.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { KeptResponse, Output } from './output.ts';
import { settleCompleted } from '../settle/settle-response.ts';
import { emitAttemptEnd } from '../settle/attempt-end.ts';

/** Keeps a complete but empty answer; any other is better. */
export function keepEmpty(output: Output, attempt: Attempt, failure: Failure): void {
  if (failure.kind === 'empty' && failure.body !== null && output.kept === null)
    output.keep(keptResponse(output, attempt, failure.body, 'empty', 0));
}

/** Keeps a complete answer that falls short, unless a better one is there. */
export function keepFailedQuality(output: Output, attempt: Attempt, shortfall: Shortfall): void {
  const length = realLength(attempt.readChoices(), shortfall);
  if (output.kept === null || length > output.kept.length)
    output.keep(keptResponse(output, attempt, attempt.takeWhole(), shortfall, length));
  else attempt.drop();
}

/** True if the answer is empty and the policy has nothing against that. */
export function isAcceptedEmpty(attempt: Attempt, failure: Failure): boolean {
  return failure.kind === 'empty' && failure.body !== null && attempt.options.target.quality.rules.welcomesEmpty;
}

/** An empty answer where empty ones are welcome. */
export function respondWithEmpty(output: Output, attempt: Attempt, failure: Failure): void {
  settleCompleted(output.active, attempt);
  emitAttemptEnd(output.active, attempt, 'success', null, null);
  respondWith(output, keptResponse(output, attempt, failure.body!, 'empty', 0), null);
}

/** Nothing better came: the best real answer, marked. */
export function respondWithKept(output: Output, kept: KeptResponse): void {
  output.active.note(`nothing better came: its answer goes out, marked ${kept.shortfall}`, kept.target);
  respondWith(output, kept, kept.shortfall);
}

function keptResponse(output: Output, attempt: Attempt, body: Uint8Array, shortfall: Shortfall, length: number): KeptResponse {
  const { target } = attempt.options;
  return { target, status: attempt.status, headers: ownHeaders(output, attempt), body, usage: attempt.facts.usage, shortfall, length };
}

function respondWith(output: Output, kept: KeptResponse, mark: Shortfall | null): void {
  if (output.downstream.isStarted) {
    const listed = mark === null ? '' : ` quality=${mark}`;
    output.downstream.endWith(Buffer.concat([encodeComment(metadataComment(output, kept.target) + listed), kept.body]));
  } else {
    const headers = [...metadataHeaders(output, kept.target), ...kept.headers];
    if (mark !== null) headers.push('x-breakwater-quality', mark);
    if (!output.active.request.facts.stream) addCostHeader(headers, output);
    headers.push('content-length', String(kept.body.byteLength));
    output.downstream.respond(kept.status, headers, kept.body, kept.usage, mark !== null);
  }
  output.succeedWithKept(kept);
}
