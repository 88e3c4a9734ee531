/** Updates what is learned of a target from the outcome of an attempt. Runs for every attempt, and allocates nothing. */
import type { Instant } from '../../core/clock.ts';
import type { Failure } from '../../core/facts.ts';
import type { Settlement } from '../../core/resource.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { limitedKind } from '../../wire/limited-kind.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { settleFirstContent } from './settle-attempt.ts';
import { learnReading } from './learn-makers.ts';
import type { TargetState } from '../route/route.ts';
import type { ActiveRequest } from '../active/active-request.ts';

/** A response has begun. Wakes waiting requests if it shows new capacity. */
export function learnFromResponse(active: ActiveRequest, attempt: Attempt, now: Instant): void {
  const { clock, admission } = active.engine;
  const { target, request, permit } = attempt.options;
  const { state } = target;
  settleFirstContent(active.engine, permit, now);
  learnReading(active.engine, attempt);
  state.refusals.responded();
  const wasFull = state.concurrency.earliest(now) !== now;
  state.concurrency.served(now, attempt.startedAt, attempt.running);
  if (request.facts.stream && attempt.streamedFirstMs !== null) {
    state.concurrency.began(now, attempt.startedAt, kindOf(active, attempt), attempt.running, attempt.streamedFirstMs);
  }
  let hasNewRoom = wasFull && state.concurrency.earliest(now) === now;
  if (state.rates !== null) {
    state.rates.read(now, clock.epochMs(), attempt.startedAt, attempt.headers, false);
    hasNewRoom = state.rates.served(now, attempt.startedAt, permit.need) || hasNewRoom;
  }
  if (hasNewRoom) admission.pump();
}

/** Called before the permit is settled, so that waiting requests are not started where there is no capacity. */
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
  state.rates.responded(now);
}

/** The source alone is refused while others are served: its failure shows nothing about the target. */
export function failsAlone({ source }: ActiveRequest, { breaker, overload }: TargetState): boolean {
  return breaker.soleCauseLevel(source) !== null || overload.soleCauseLevel(source) !== null;
}

/** A response is complete: its actual usage corrects the estimates for similar requests. */
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

/** It was silent for too long before the first content. Silence within a response does not predict the next one. */
function isSilence({ kind, phase }: Failure, health: Settlement['health']): boolean {
  const isTimeout = kind === 'timeout' || kind === 'slow';
  return isTimeout && health === 'failure' && (phase === 'headers' || phase === 'first_content');
}

/** Kinds below 64: prompts of the same order of magnitude, with or without reasoning. */
const SIZES = 32;

function kindOf({ request }: ActiveRequest, attempt: Attempt): number {
  const size = Math.min(SIZES - 1, Math.max(0, Math.round(Math.log2(Math.max(1, request.facts.inputTokens)))));
  return attempt.usesReasoning ? SIZES + size : size;
}
