/**
 * Complete answers without content (design 4.6): not good enough, but better than none, if all fall short. What holds no
 * answer at all (no bytes, `choices: []`, no choice that came to its end) comes without its body, and is never one of them.
 */
import type { Failure } from '../core/facts.ts';
import { encodeComment } from '../wire/openai-chat/encode-error.ts';
import { addCostHeader, contentTypeOf, pushUpstreamId, wayComment, wayHeaders } from './answer-headers.ts';
import type { Attempt } from './attempt.ts';
import { settleAttempt } from './engine.ts';
import type { KeptAnswer, RequestRun } from './run.ts';
import { headerOf } from './upstream-headers.ts';
import { tellAttemptEnd } from './verdict-effects.ts';

/** Keeps a complete but empty answer; the earliest stays. */
export function keepAnswer(run: RequestRun, attempt: Attempt, failure: Failure): void {
  if (failure.kind === 'empty' && run.kept === null) run.kept = keptFrom(run, attempt, failure);
}

/** True if the answer is empty and the policy has nothing against that. */
export function isWelcomeEmpty(attempt: Attempt, failure: Failure): boolean {
  return failure.kind === 'empty' && failure.body !== null && !attempt.options.target.policy.quality.rejectEmpty;
}

/** An empty answer where empty ones are welcome. */
export function answerEmpty(run: RequestRun, attempt: Attempt, failure: Failure): void {
  const { target, permit } = attempt.options;
  settleAttempt(run.engine, target, permit, { usage: attempt.facts.usage, health: 'success' });
  tellAttemptEnd(run, attempt, 'success', null, null);
  answerWith(run, keptFrom(run, attempt, failure)!, []);
}

/** Nothing better came: the best real answer, marked. */
export function answerKept(run: RequestRun, kept: KeptAnswer): void {
  answerWith(run, kept, ['x-breakwater-quality', 'empty']);
}

function keptFrom(run: RequestRun, attempt: Attempt, failure: Failure): KeptAnswer | null {
  if (failure.body === null) return null;
  const headers = ['content-type', contentTypeOf(headerOf(attempt.headers, 'content-type'), run.request.facts.stream)];
  pushUpstreamId(headers, attempt.upstreamId);
  return {
    target: attempt.options.target,
    status: attempt.status,
    headers,
    body: failure.body,
    usage: attempt.facts.usage,
  };
}

function answerWith(run: RequestRun, kept: KeptAnswer, mark: string[]): void {
  if (run.downstream.isStarted) {
    const told = mark.length === 0 ? '' : ' quality=empty';
    run.downstream.endWith(Buffer.concat([encodeComment(wayComment(run, kept.target) + told), kept.body]));
  } else {
    const headers = [...wayHeaders(run, kept.target), ...kept.headers, ...mark];
    if (!run.request.facts.stream) addCostHeader(headers, kept.target, kept.usage);
    headers.push('content-length', String(kept.body.byteLength));
    run.downstream.answer(kept.status, headers, kept.body);
  }
  run.succeedKept(kept);
}
