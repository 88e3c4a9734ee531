import { Permit } from '../../core/permit.ts';
import type { Admitted } from '../admission/admission.ts';
import type { DeliveredResponse } from '../request/gateway-request.ts';
import type { RetryState } from './retry-state.ts';

/**
 * The permit for reading a delivered response. It was paid for, so the client's limits and budget are charged whatever is left of them. What
 * made it is not asked again.
 */
export function deliveredPermit(retry: RetryState, { target }: DeliveredResponse): Admitted {
  const { active, tried } = retry;
  const { request, engine } = active;
  const { inputTokens, outputBound } = request.facts;
  const now = engine.clock.now();
  const need = { requests: 1, inputTokens, outputTokens: outputBound ?? 0, source: active.source, model: target.state.model };
  active.note('the response was made in a batch of the provider', target);
  tried.exclude(target);
  for (const other of retry.tiers.flat()) if (other.state.name === target.state.name) tried.exclude(other);
  const clientPermit = active.clientPermit === null ? Permit.reserve(now, need, request.client.resources) : null;
  return { kind: 'start', target, permit: Permit.reserve(now, need, []), clientPermit };
}
