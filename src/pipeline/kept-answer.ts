/** The best answer that was not good enough (design 4.6): better than none, if all fall short. */
import type { Failure } from '../core/facts.ts';
import { contentTypeOf } from './answer-headers.ts';
import type { Attempt } from './attempt.ts';
import type { RequestRun } from './run.ts';
import { headerOf } from './upstream-headers.ts';

/** Keeps a complete but empty answer; the earliest stays. */
export function keepAnswer(run: RequestRun, attempt: Attempt, failure: Failure): void {
  if (failure.kind !== 'empty' || failure.body === null || run.kept !== null) return;
  run.kept = {
    target: attempt.options.target,
    status: attempt.status,
    headers: ['content-type', contentTypeOf(headerOf(attempt.headers, 'content-type'), run.request.facts.stream)],
    body: failure.body,
    usage: attempt.facts.usage,
  };
}
