import type { LanguageScores } from '../../../policy/continuation/language.ts';
import { encodeComment } from '../../../wire/sse/comment.ts';
import type { Admitted } from '../../admission/admission.ts';
import { attemptComment } from '../response-headers.ts';
import type { Attempt } from '../../attempt/attempt.ts';
import type { Continuation } from './continuation.ts';
import { loadLanguageScores } from './languages.ts';
import { Seam } from './splice-filter.ts';
import { learnFromAnswer } from '../../settle/learn.ts';
import { askNext } from '../../retry/next-attempt.ts';
import { relayOnward } from '../relay.ts';
import type { Group } from '../../run-parts.ts';
import type { RequestRun } from '../../run.ts';
import { takeFailure } from '../../retry/record-failure.ts';

/** How attempts are made. */
interface Attempts {
  send(run: RequestRun, admitted: Admitted): Promise<Attempt | null>;
  /** The next of those that run at once. */
  goOn(run: RequestRun, group: Group): Promise<Attempt | null>;
}

/** Goes on with a broken answer until it is whole, no target is left to ask, or the caller has left. */
export async function continueAnswer(run: RequestRun, continuation: Continuation, attempts: Attempts): Promise<void> {
  if (run.broken === null) return;
  const scores = await loadLanguageScores();
  while (run.broken !== null) {
    let attempt: Attempt | null;
    if (run.group === null) {
      const admitted = await admitOnward(run, continuation);
      if (admitted === null) return;
      attempt = await attempts.send(run, admitted);
    } else attempt = await attempts.goOn(run, run.group);
    if (attempt === null) return;
    if (attempt.failure === null) {
      run.group?.win(attempt);
      learnFromAnswer(run, attempt);
      continuation.passage = seamFor(run, continuation, attempt, scores);
      await relayOnward(run, attempt, continuation);
      continue;
    }
    const judgement = takeFailure(run, attempt, attempt.failure);
    continuation.noteFailure(attempt, `did not go on: ${attempt.failure.message}`);
    if (judgement.verdict === 'reject') return continuation.giveUp();
  }
}

async function admitOnward(run: RequestRun, continuation: Continuation): Promise<Admitted | null> {
  const asked = await askNext(run);
  if (asked.kind === 'start') {
    run.clientPermit ??= asked.clientPermit;
    if (!run.isOver) return asked;
    run.engine.admission.cancel(asked.permit);
  }
  if (!run.isOver) continuation.giveUp();
  else if (run.stopError !== null) run.fail(run.stopError);
  return null;
}

function seamFor(run: RequestRun, continuation: Continuation, attempt: Attempt, scores: LanguageScores): Seam {
  return new Seam(continuation.delivered, scores, () => {
    continuation.join(attempt);
    return encodeComment(continuedComment(run, attempt));
  });
}

/** `breakwater continued target=… attempts=…` */
function continuedComment(run: RequestRun, attempt: Attempt): string {
  return attemptComment(run, attempt).replace('breakwater', 'breakwater continued');
}
