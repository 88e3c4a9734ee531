import type { RequestFacts } from '../../core/request.ts';
import type { CallKind } from '../../policy/latency/silence.ts';
import type { TargetState } from '../route/route.ts';

/** What its silence is compared by. */
export function callKindOf(facts: RequestFacts, state: TargetState): CallKind {
  const { stream, outputBound, inputTokens, operation } = facts;
  const { local, ownServer } = state;
  return {
    stream,
    usesReasoning: facts.usesReasoning || state.usesReasoning,
    local,
    ownServer,
    unread: operation === 'bytes',
    outputBound,
    inputTokens,
  };
}
