/** The failure of a call that exceeds a limit. */
import type { Dialect, Failure } from './dialect.ts';
import type { Refusal } from './limits.ts';

/** Google's RetryInfo is at most a minute, even for a daily quota. */
const RETRY_INFO_MS_MAX = 60_000;

/** `too-large` for a request that can never pass; any other failure states the wait, if known, in the dialect's way. */
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
