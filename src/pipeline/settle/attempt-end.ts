import type { AttemptEndEvent, EventDraft } from '../../core/events.ts';
import type { Failure } from '../../core/facts.ts';
import type { FailedQualityCheck } from '../../core/quality.ts';
import type { Judgement } from '../../policy/verdict.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import { estimatedUsd } from '../active/spending.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { isBilled, unreportedUsage } from './billing.ts';
import { learnMakers } from './learn-makers.ts';

/** Emits the end of an attempt: verdict, usage and cost. */
export function emitAttemptEnd(
  active: ActiveRequest,
  attempt: Attempt,
  verdict: Judgement['verdict'] | 'success' | 'cancelled',
  reason: Judgement['reason'] | null,
  failure: Failure | null,
  quality: FailedQualityCheck | null = null,
): void {
  const at = active.engine.clock.now();
  const { number, target } = attempt.options;
  attempt.isEndEmitted = true;
  learnMakers(active.engine, attempt);
  const { usage } = attempt.facts;
  const billed = isBilled(attempt, failure);
  const isWhole = verdict === 'success' || quality !== null;
  const estimated = billed ? unreportedUsage(attempt, isWhole, failure) : null;
  const cost = billed ? active.spending.add({ attempt: number, target, usage, estimated }) : null;
  const estimatedCost = estimatedUsd({ target, usage, estimated });
  const event: EventDraft<AttemptEndEvent> = {
    type: 'attempt_end',
    requestId: active.request.id,
    at,
    attempt: number,
    target: target.state.name,
    provider: target.state.provider,
    credential: target.state.credential.number,
    durationMs: at - attempt.startedAt,
    firstContentMs: attempt.silentMs,
    verdict,
    reason,
    status: failure?.status ?? (attempt.status === 0 ? null : attempt.status),
    failure: failure?.kind ?? null,
    quality,
    phase: failure?.phase ?? null,
    message: failure?.message ?? null,
    usage,
    upstreamRequestId: attempt.upstreamId,
  };
  if (cost !== null) event.costUsd = cost;
  if (estimated !== null) event.estimated = estimated;
  if (estimatedCost !== 0) event.estimatedUsd = estimatedCost;
  active.engine.events.emit(event);
}
