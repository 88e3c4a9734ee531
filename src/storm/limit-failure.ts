/** The failure that a broken limit is answered with. */
import type { Dialect, Failure } from './dialect.ts';
import type { Refusal } from './limits.ts';

/** Google's RetryInfo speaks of the minute, also where the quota of the day is spent. */
const RETRY_INFO_MS_MAX = 60_000;

/** A request that can never pass is `too-large`; any other says when to come again, where that is known, as the dialect does. */
export function toLimitFailure(refusal: Refusal, model: string, hints: 'both' | 'seconds' | 'none', waits?: Dialect['waits']): Failure {
  const { waitMs } = refusal;
  if (waitMs === Infinity) return { reason: 'too-large', model, refusal };
  if (waitMs === undefined || hints === 'none' || waits === 'none') return { reason: 'rate-limit', model, refusal };
  if (waits === 'retry-info') {
    return { reason: 'rate-limit', model, refusal, retryDelay: `${Math.ceil(Math.min(waitMs, RETRY_INFO_MS_MAX)) / 1000}s` };
  }
  const headers: Record<string, string> = { 'retry-after': String(Math.max(1, Math.ceil(waitMs / 1000))) };
  if (hints === 'both' && waits !== 'seconds') headers['retry-after-ms'] = String(Math.ceil(waitMs));
  return { reason: 'rate-limit', model, refusal, headers };
}
