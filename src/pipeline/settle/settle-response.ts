import type { TokenUsage } from '../../core/facts.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { settleAttempt } from './settle-attempt.ts';
import { learnFromUsage } from './learn.ts';
import type { ActiveRequest } from '../active/active-request.ts';

/** Closes the permit of an attempt that has a complete response, whatever its quality, unless it was closed before a slow check. */
export function settleCompleted(active: ActiveRequest, attempt: Attempt): void {
  const { target, permit } = attempt.options;
  if (!permit.isOpen) return;
  target.state.rateLimitStreak = 0;
  learnFromUsage(active, attempt);
  settleAttempt(active.engine, target, permit, { usage: countedUsage(attempt), health: 'success' });
}

/** Closes the permit of an attempt whose response is not used, without blame. */
export function settleUnused(active: ActiveRequest, attempt: Attempt): void {
  const { target, permit } = attempt.options;
  if (permit.isOpen) settleAttempt(active.engine, target, permit, { usage: attempt.facts.usage, health: 'neutral' });
}

/** The same, of a response that was cut off by the gateway. */
export function settleCutOff(active: ActiveRequest, attempt: Attempt): void {
  const { target, permit } = attempt.options;
  if (permit.isOpen) settleAttempt(active.engine, target, permit, { usage: usageWhenCutOff(attempt), health: 'neutral' });
}

/**
 * The usage of a response that was cut off. Anthropic reports usage at the beginning too, with one token of output: such a report does not
 * return what was reserved for the rest, which the provider may have generated.
 */
export function usageWhenCutOff({ facts, options }: Attempt): TokenUsage | null {
  const { usage } = facts;
  if (usage === null) return null;
  return { ...usage, outputTokens: Math.max(usage.outputTokens, options.permit.need.outputTokens) };
}

/** The reported usage; if none is reported, an estimate. Null: neither is known. */
function countedUsage({ facts, options, estimatedOutputTokens }: Attempt): TokenUsage | null {
  if (facts.usage !== null || estimatedOutputTokens === null) return facts.usage;
  const outputTokens = Math.min(estimatedOutputTokens, options.request.facts.outputBound ?? Infinity);
  return { inputTokens: options.permit.need.inputTokens, cachedInputTokens: 0, outputTokens };
}
