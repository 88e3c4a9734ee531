/** What a provider bills of an attempt, whatever became of its response. */
import type { Failure, FailureKind, TokenUsage } from '../../core/facts.ts';
import type { Attempt } from '../attempt/attempt.ts';

/** Failures in which the provider may have worked on a response until the end. */
const CUT_SHORT: ReadonlySet<FailureKind> = new Set(['timeout', 'slow', 'reset', 'cut']);

/**
 * True if the provider bills the call, as far as is known. One that was sent and ended before its response began is billed too: the provider
 * has read its prompt, and reports nothing. An error in place of a response is free.
 */
export function isBilled({ facts, status, sent }: Pick<Attempt, 'facts' | 'status' | 'sent'>, failure: Failure | null): boolean {
  if (facts.usage !== null) return true;
  if (failure !== null && !facts.hasContent && isRefusal(failure)) return false;
  return status === 0 ? sent : status >= 200 && status < 300;
}

/** The provider did not work on the request. */
function isRefusal({ kind, code }: Failure): boolean {
  return kind === 'status' || kind === 'error' || kind === 'exhausted' || (kind === 'reset' && code === 'stale_connection');
}

/**
 * What a billed call has used beyond its report, by estimate. Null: nothing, or its tokens are not counted. `isWhole`: its response is
 * complete; otherwise a report without a finish reason is that of the beginning.
 */
export function unreportedUsage(attempt: Attempt, isWhole: boolean, failure: Failure | null): TokenUsage | null {
  const { facts, options } = attempt;
  const { usage } = facts;
  if (options.request.facts.operation === 'bytes' || (usage !== null && (isWhole || facts.finishReason !== null))) return null;
  const outputTokens = Math.max(0, outputOf(attempt, failure) - (usage?.outputTokens ?? 0));
  const inputTokens = usage === null ? options.permit.need.inputTokens : 0;
  return inputTokens + outputTokens === 0 ? null : { inputTokens, cachedInputTokens: 0, outputTokens };
}

/** The output as far as it was received. Of a non-streaming response nothing is seen before its end: a usual one, within what was reserved. */
function outputOf({ estimatedOutputTokens, options }: Attempt, failure: Failure | null): number {
  const { request, permit, target } = options;
  const { stream, outputBound } = request.facts;
  if (estimatedOutputTokens !== null) return Math.min(estimatedOutputTokens, outputBound ?? Infinity);
  if (stream || (failure !== null && !CUT_SHORT.has(failure.kind))) return 0;
  return Math.min(permit.need.outputTokens, target.state.output.of(request.client.name));
}
