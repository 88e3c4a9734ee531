import type { LanguageScores } from '../policy/continuation/language.ts';
import { encodeComment } from '../wire/openai-chat/encode-error.ts';
import type { Admitted } from './admit.ts';
import { wayComment } from './answer-headers.ts';
import type { Attempt } from './attempt.ts';
import type { Continuation } from './continuation.ts';
import { loadLanguageScores } from './continuation-languages.ts';
import { Seam } from './continuation-seam.ts';
import { learnFromAnswer } from './learn.ts';
import { askNext } from './next-attempt.ts';
import { relayOnward } from './relay.ts';
import type { RequestRun } from './run.ts';
import { takeFailure } from './verdict-effects.ts';

/** Goes on with a broken answer until it is whole, nobody is left to ask, or the caller has left. `send` makes one attempt. */
export async function continueAnswer(
  run: RequestRun,
  continuation: Continuation,
  send: (run: RequestRun, admitted: Admitted) => Promise<Attempt | null>,
): Promise<void> {
  if (run.broken === null) return;
  const scores = await loadLanguageScores();
  while (run.broken !== null) {
    const admitted = await admitOnward(run, continuation);
    if (admitted === null) return;
    const attempt = await send(run, admitted);
    if (attempt === null) return;
    if (attempt.failure === null) {
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
  return wayComment(run, attempt.options.target).replace('breakwater', 'breakwater continued');
}
