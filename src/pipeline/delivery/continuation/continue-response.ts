import type { LanguageScores } from '../../../policy/continuation/language.ts';
import { encodeComment } from '../../../wire/sse/comment.ts';
import type { Admitted } from '../../admission/admission.ts';
import { attemptComment } from '../response-headers.ts';
import type { Attempt } from '../../attempt/attempt.ts';
import type { Continuation } from './continuation.ts';
import { loadLanguageScores } from './languages.ts';
import { SpliceFilter } from './splice-filter.ts';
import { recordResponse } from '../../retry/record-response.ts';
import { nextPermit } from '../../retry/next-attempt.ts';
import { relayContinuation } from '../relay.ts';
import type { RunningAttempts } from '../../active/active-request.ts';
import type { Output } from '../output.ts';
import { recordFailure } from '../../retry/record-failure.ts';

/** How attempts are made. */
interface Attempts {
  send(output: Output, admitted: Admitted): Promise<Attempt | null>;
  /** The next of those that run at once. */
  nextDecided(output: Output, group: RunningAttempts): Promise<Attempt | null>;
}

/** Goes on with a broken answer until it is whole, no target is left to ask, or the caller has left. */
export async function continueResponse(output: Output, continuation: Continuation, attempts: Attempts): Promise<void> {
  if (output.retry.broken === null) return;
  const scores = await loadLanguageScores();
  while (output.retry.broken !== null) {
    let attempt: Attempt | null;
    if (output.active.group === null) {
      const admitted = await admitContinuation(output, continuation);
      if (admitted === null) return;
      attempt = await attempts.send(output, admitted);
    } else attempt = await attempts.nextDecided(output, output.active.group);
    if (attempt === null) return;
    if (attempt.failure === null) {
      output.active.group?.win(attempt);
      recordResponse(output.retry, attempt);
      continuation.filter = spliceFilterFor(output, continuation, attempt, scores);
      await relayContinuation(output, attempt, continuation);
      continue;
    }
    const judgement = recordFailure(output.retry, attempt, attempt.failure);
    continuation.noteFailure(attempt, `did not go on: ${attempt.failure.message}`);
    if (judgement.verdict === 'reject') return continuation.giveUp();
  }
}

async function admitContinuation(output: Output, continuation: Continuation): Promise<Admitted | null> {
  const asked = await nextPermit(output.retry);
  if (asked.kind === 'start') {
    output.active.clientPermit ??= asked.clientPermit;
    if (!output.active.isOver) return asked;
    output.active.engine.admission.cancel(asked.permit);
  }
  if (!output.active.isOver) continuation.giveUp();
  else if (output.active.stopError !== null) output.fail(output.active.stopError);
  return null;
}

function spliceFilterFor(output: Output, continuation: Continuation, attempt: Attempt, scores: LanguageScores): SpliceFilter {
  return new SpliceFilter(continuation.delivered, scores, () => {
    continuation.join(attempt);
    return encodeComment(continuedComment(output, attempt));
  });
}

/** `breakwater continued target=… attempts=…` */
function continuedComment(output: Output, attempt: Attempt): string {
  return attemptComment(output, attempt).replace('breakwater', 'breakwater continued');
}
