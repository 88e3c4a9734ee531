import { encodeComment } from '../../../wire/sse/comment.ts';
import type { Admitted } from '../../admission/admission.ts';
import { attemptComment } from '../response-headers.ts';
import type { Attempt } from '../../attempt/attempt.ts';
import type { Continuation } from './continuation.ts';
import { SpliceFilter } from './splice-filter.ts';
import { takesAsItIs } from '../../conversion/capability.ts';
import { recordResponse } from '../../retry/record-response.ts';
import { nextPermit } from '../../retry/next-attempt.ts';
import { relayContinuation } from '../relay.ts';
import type { RunningAttempts } from '../../active/active-request.ts';
import type { Output } from '../output.ts';
import { recordFailure } from '../../retry/record-failure.ts';

/** Starts attempts. */
interface Attempts {
  send(output: Output, admitted: Admitted): Promise<Attempt | null>;
  /** The next of the parallel attempts that is decided. */
  nextDecided(output: Output, group: RunningAttempts): Promise<Attempt | null>;
}

/** Continues a broken response until it is complete, no target is left, or the caller disconnects. */
export async function continueResponse(output: Output, continuation: Continuation, attempts: Attempts): Promise<void> {
  const { active, retry } = output;
  if (retry.broken === null) return;
  while (retry.broken !== null) {
    let attempt: Attempt | null;
    if (active.group === null) {
      const admitted = await admitContinuation(output, continuation);
      if (admitted === null) return;
      attempt = await attempts.send(output, admitted);
    } else attempt = await attempts.nextDecided(output, active.group);
    if (attempt === null) return;
    if (attempt.failure === null) {
      active.group?.win(attempt);
      recordResponse(retry, attempt);
      continuation.filter = spliceFilterFor(output, continuation, attempt);
      await relayContinuation(output, attempt, continuation);
      continue;
    }
    const judgement = recordFailure(retry, attempt, attempt.failure);
    continuation.noteFailure(attempt, `did not continue: ${attempt.failure.message}`);
    if (judgement.verdict === 'reject') return continuation.giveUp();
  }
}

async function admitContinuation(output: Output, continuation: Continuation): Promise<Admitted | null> {
  const { active, retry } = output;
  while (retry.tiers.length > 0) {
    const decision = await nextPermit(retry);
    if (decision.kind !== 'start') break;
    active.takeClientPermit(decision.clientPermit);
    if (active.isOver) {
      active.engine.admission.cancel(decision.permit);
      break;
    }
    if (takesAsItIs(active.request, decision.target.state) || retry.keepIfCapable(decision)) return decision;
  }
  if (!active.isOver) continuation.giveUp();
  else if (active.stopError !== null) output.fail(active.stopError);
  return null;
}

function spliceFilterFor(output: Output, continuation: Continuation, attempt: Attempt): SpliceFilter {
  return new SpliceFilter(continuation.delivered, output.active.request.dialect.name, () => {
    continuation.join(attempt);
    return encodeComment(continuedComment(output, attempt));
  });
}

/** `breakwater continued target=… attempts=…` */
function continuedComment(output: Output, attempt: Attempt): string {
  return attemptComment(output, attempt).replace('breakwater', 'breakwater continued');
}
