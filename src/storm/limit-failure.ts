/** The failure that a broken limit is answered with. */
import type { Failure } from './dialect.ts';
import type { Refusal } from './limits.ts';

/** A request that can never pass is `too-large`; any other says when to come again, where that is known. */
export function toLimitFailure(refusal: Refusal, model: string, hints: 'both' | 'seconds' | 'none'): Failure {
  const { waitMs } = refusal;
  if (waitMs === Infinity) return { reason: 'too-large', model, refusal };
  if (waitMs === undefined || hints === 'none') return { reason: 'rate-limit', model, refusal };
  const headers: Record<string, string> = { 'retry-after': String(Math.max(1, Math.ceil(waitMs / 1000))) };
  if (hints === 'both') headers['retry-after-ms'] = String(Math.ceil(waitMs));
  return { reason: 'rate-limit', model, refusal, headers };
}
