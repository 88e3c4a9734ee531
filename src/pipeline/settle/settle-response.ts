import type { TokenUsage } from '../../core/facts.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { settleAttempt } from './settle-attempt.ts';
import { learnFromUsage } from './learn.ts';
import type { ActiveRequest } from '../active/active-request.ts';

/** The target has answered, whatever its answer is worth: its permit is closed, unless that was done before a check that waits. */
export function settleAnswered(active: ActiveRequest, attempt: Attempt): void {
  const { target, permit } = attempt.options;
  if (!permit.isOpen) return;
  target.state.rateLimitStreak = 0;
  learnFromUsage(active, attempt);
  const usage = countedUsage(attempt);
  settleAttempt(active.engine, target, permit, { usage, health: 'success' });
  if (attempt.facts.usage === null && usage !== null) active.spending.estimate(usage);
}

/** An attempt whose answer nobody takes any more, through no fault of its own. */
export function settleUntaken(active: ActiveRequest, attempt: Attempt): void {
  const { target, permit } = attempt.options;
  if (permit.isOpen) settleAttempt(active.engine, target, permit, { usage: attempt.facts.usage, health: 'neutral' });
}

/** What its provider counted; where no usage is reported, an estimate by input and output. Null: neither is known. */
function countedUsage({ facts, options, estimatedOutputTokens }: Attempt): TokenUsage | null {
  if (facts.usage !== null || estimatedOutputTokens === null) return facts.usage;
  const outputTokens = Math.min(estimatedOutputTokens, options.request.facts.outputBound ?? Infinity);
  return { inputTokens: options.permit.need.inputTokens, cachedInputTokens: 0, outputTokens };
}
