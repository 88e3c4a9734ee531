/**
 * Whole answers that are not good enough (design 4.6): better than none, if all fall short. One is kept, that with the longest real
 * content, else the earliest. What holds no answer at all (no bytes, `choices: []`, no choice that came to its end) comes without its
 * body, and is never one of them.
 */
import type { Failure } from '../../core/facts.ts';
import type { Shortfall } from '../../core/quality.ts';
import { realLength } from '../../policy/quality/quality.ts';
import { encodeComment } from '../../wire/sse/comment.ts';
import { addCostHeader, ownHeaders, wayComment, wayHeaders } from './response-headers.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { KeptAnswer } from '../run-parts.ts';
import type { RequestRun } from '../run.ts';
import { settleAnswered } from '../settle/settle-response.ts';
import { tellAttemptEnd } from '../retry/record-failure.ts';

/** Keeps a complete but empty answer; any other is better. */
export function keepEmpty(run: RequestRun, attempt: Attempt, failure: Failure): void {
  if (failure.kind === 'empty' && failure.body !== null && run.kept === null) run.keep(keptFrom(run, attempt, failure.body, 'empty', 0));
}

/** Keeps a complete answer that falls short, unless a better one is there. */
export function keepPoor(run: RequestRun, attempt: Attempt, shortfall: Shortfall): void {
  const length = realLength(attempt.readChoices(), shortfall);
  if (run.kept === null || length > run.kept.length) run.keep(keptFrom(run, attempt, attempt.takeWhole(), shortfall, length));
  else attempt.drop();
}

/** True if the answer is empty and the policy has nothing against that. */
export function isWelcomeEmpty(attempt: Attempt, failure: Failure): boolean {
  return failure.kind === 'empty' && failure.body !== null && attempt.options.target.quality.rules.welcomesEmpty;
}

/** An empty answer where empty ones are welcome. */
export function answerEmpty(run: RequestRun, attempt: Attempt, failure: Failure): void {
  settleAnswered(run, attempt);
  tellAttemptEnd(run, attempt, 'success', null, null);
  answerWith(run, keptFrom(run, attempt, failure.body!, 'empty', 0), null);
}

/** Nothing better came: the best real answer, marked. */
export function answerKept(run: RequestRun, kept: KeptAnswer): void {
  run.note(`nothing better came: its answer goes out, marked ${kept.shortfall}`, kept.target);
  answerWith(run, kept, kept.shortfall);
}

function keptFrom(run: RequestRun, attempt: Attempt, body: Uint8Array, shortfall: Shortfall, length: number): KeptAnswer {
  const { target } = attempt.options;
  return { target, status: attempt.status, headers: ownHeaders(run, attempt), body, usage: attempt.facts.usage, shortfall, length };
}

function answerWith(run: RequestRun, kept: KeptAnswer, mark: Shortfall | null): void {
  if (run.downstream.isStarted) {
    const told = mark === null ? '' : ` quality=${mark}`;
    run.downstream.endWith(Buffer.concat([encodeComment(wayComment(run, kept.target) + told), kept.body]));
  } else {
    const headers = [...wayHeaders(run, kept.target), ...kept.headers];
    if (mark !== null) headers.push('x-breakwater-quality', mark);
    if (!run.request.facts.stream) addCostHeader(headers, run);
    headers.push('content-length', String(kept.body.byteLength));
    run.downstream.answer(kept.status, headers, kept.body, kept.usage, mark !== null);
  }
  run.succeedKept(kept);
}
