/** Hands what an attempt has shown of its target to those who learn from it. Every attempt passes here: nothing is made anew. */
import type { Failure } from '../../core/facts.ts';
import type { Settlement } from '../../core/resource.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { limitedKind } from '../../wire/limited-kind.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { noteFirstContent } from './settle-attempt.ts';
import { learnReading } from './learn-makers.ts';
import type { TargetState } from '../route/route.ts';
import type { ActiveRequest } from '../active/active-request.ts';

/** An answer has begun. Those who waited for what it tells may go on. */
export function learnFromResponse(active: ActiveRequest, attempt: Attempt): void {
  const { clock, admission } = active.engine;
  const { target, request, permit } = attempt.options;
  const { state } = target;
  const now = clock.now();
  noteFirstContent(active.engine, permit);
  learnReading(active.engine, attempt);
  state.refusals.answered();
  const wasFull = state.concurrency.earliest(now) !== now;
  state.concurrency.served(now, attempt.startedAt, attempt.running);
  if (request.facts.stream && attempt.streamedFirstMs !== null) {
    state.concurrency.began(now, attempt.startedAt, kindOf(active, attempt), attempt.running, attempt.streamedFirstMs);
  }
  let isNews = wasFull && state.concurrency.earliest(now) === now;
  if (state.rates !== null) {
    state.rates.read(now, clock.epochMs(), attempt.startedAt, attempt.headers, false);
    isNews = state.rates.served(now, attempt.startedAt, permit.need) || isNews;
  }
  if (isNews) admission.pump();
}

/** Before its permit is settled: those who wait must not be sent where there is no room. */
export function learnFromFailure(
  active: ActiveRequest,
  attempt: Attempt,
  failure: Failure,
  judgement: Judgement,
  health: Settlement['health'],
): void {
  const { clock } = active.engine;
  const { target, permit } = attempt.options;
  const { state } = target;
  const now = clock.now();
  if (attempt.sent && !failsAlone(active, state)) {
    const isSilent = isSilence(failure, health);
    if (isSilent || isOverload(judgement)) state.concurrency.refused(now, attempt.startedAt, attempt.running, isSilent);
  }
  if (state.rates === null || attempt.status === 0) return;
  const isLimited = judgement.reason === 'rate_limited' && judgement.effect === 'cooldown';
  state.rates.read(now, clock.epochMs(), attempt.startedAt, attempt.headers, isLimited);
  if (isLimited && state.cooldown.soleCauseLevel(active.source) === null)
    attempt.pausesTarget = state.rates.refused(now, attempt.startedAt, permit.need, limitedKind(failure), failure.retryAfterMs !== null);
  state.rates.heard(now);
}

/** Others are served meanwhile: it says nothing of the target. */
export function failsAlone({ source }: ActiveRequest, { breaker, overload }: TargetState): boolean {
  return breaker.soleCauseLevel(source) !== null || overload.soleCauseLevel(source) !== null;
}

/** An answer has come to its end: what it really took corrects what the next one like it is taken for. */
export function learnFromUsage(active: ActiveRequest, attempt: Attempt): void {
  const { usage } = attempt.facts;
  if (usage === null) return;
  const { state } = attempt.options.target;
  state.rates?.used(usage);
  state.input.learn(active.request.facts.inputTokens, usage.inputTokens, usage.cachedInputTokens);
  state.output.learn(active.request.client.name, usage.outputTokens);
}

function isOverload({ reason }: Judgement): boolean {
  return reason === 'overloaded' || reason === 'busy';
}

/** It was silent for longer than it may be. Silence within a response says nothing of the next one. */
function isSilence({ kind, phase }: Failure, health: Settlement['health']): boolean {
  const isTimeout = kind === 'timeout' || kind === 'slow';
  return isTimeout && health === 'failure' && (phase === 'headers' || phase === 'first_content');
}

/** Kinds below 64: prompts of the same order of magnitude, thinking or not. */
const SIZES = 32;

function kindOf({ request }: ActiveRequest, attempt: Attempt): number {
  const size = Math.min(SIZES - 1, Math.max(0, Math.round(Math.log2(Math.max(1, request.facts.inputTokens)))));
  return attempt.usesReasoning ? SIZES + size : size;
}
