/** Rate limits, with every kind of retry hint. */
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { WaitKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';
import { refusing } from './refusals.ts';

/** Invalid or unusable hints. */
const ABSURD = ['-1', 'soon', '99999999999', '1e400', 'NaN', '', 'Thu, 01 Jan 1970 00:00:00 GMT'];

const limited = (headers: Record<string, string>) => ({ reason: 'rate-limit' as const, headers });

/** A rate limit with headers derived from the fault's settings. */
function withHeaders(
  about: string,
  arg: 'ms' | 'retryAfter' | 'retryAfterMs' | undefined,
  toHeaders: (fault: StormFault, epochMs: number) => Record<string, string>,
): FaultBehaviour {
  const behaviour: FaultBehaviour = {
    about: `rate limit with ${about}`,
    on: 'both',
    harm: 'before',
    refuse: (fault, { epochMs }) => limited(toHeaders(fault, epochMs)),
  };
  if (arg !== undefined) behaviour.arg = arg;
  return behaviour;
}

/** A rate limit that states the wait in its message. */
function withText(about: string, sentence: (ms: number) => string): FaultBehaviour {
  return {
    about: `rate limit with the wait only in the message: ${about} (ARG ms, default 1200)`,
    on: 'both',
    harm: 'before',
    arg: 'ms',
    refuse: ({ ms = 1200 }, { model }) => ({ reason: 'rate-limit', message: `Rate limit reached for ${model}. ${sentence(ms)}` }),
  };
}

/** A rate limit with Google's RetryInfo. */
function withRetryInfo(about: string, shape: 'google' | 'array'): FaultBehaviour {
  return {
    about: `${about} (ARG ms, default 1500), without a header`,
    on: 'both',
    harm: 'before',
    arg: 'ms',
    refuse: ({ ms = 1500 }) => ({
      reason: 'rate-limit',
      shape,
      retryDelay: `${ms / 1000}s`,
      message: 'Resource has been exhausted (e.g. check quota).',
    }),
  };
}

export const WAITS: Family<WaitKind> = {
  '429': refusing('rate limit without a hint', 'rate-limit'),
  '429-retry': withHeaders('Retry-After in seconds (ARG, default 1)', 'retryAfter', (fault) => ({
    'retry-after': String(fault.retryAfter ?? 1),
  })),
  '429-date': withHeaders(
    'Retry-After as an HTTP date, ms ahead (ARG, default 2000; may be negative in a header)',
    'ms',
    (fault, epochMs) => ({
      'retry-after': new Date(epochMs + (fault.ms ?? 2000)).toUTCString(),
    }),
  ),
  '429-date-past': withHeaders('Retry-After as an HTTP date ARG ms in the past (default 60000)', 'ms', (fault, epochMs) => ({
    'retry-after': new Date(epochMs - (fault.ms ?? 60_000)).toUTCString(),
  })),
  '429-date-minus': withHeaders('Retry-After as a date with zone -0000 (ARG ms ahead, default 2000)', 'ms', (fault, epochMs) => ({
    'retry-after': new Date(epochMs + (fault.ms ?? 2000)).toUTCString().replace('GMT', '-0000'),
  })),
  '429-ms': withHeaders('retry-after-ms only (ARG, default 250)', 'retryAfterMs', (fault) => ({
    'retry-after-ms': String(fault.retryAfterMs ?? 250),
  })),
  '429-x-ms': withHeaders('x-ms-retry-after-ms only (ARG, default 250)', 'ms', (fault) => ({
    'x-ms-retry-after-ms': String(fault.ms ?? 250),
  })),
  '429-both': withHeaders('retry-after-ms (ARG, default 250) with a coarser Retry-After of 1 s', 'retryAfterMs', (fault) => ({
    'retry-after-ms': String(fault.retryAfterMs ?? 250),
    'retry-after': '1',
  })),
  '429-zero': withHeaders('Retry-After: 0', undefined, () => ({ 'retry-after': '0' })),
  '429-long': withHeaders('Retry-After of a day', undefined, () => ({ 'retry-after': '86400' })),
  '429-reset': withHeaders('x-ratelimit-reset-requests only (ARG ms, default 1200)', 'ms', (fault) => ({
    'x-ratelimit-limit-requests': '60',
    'x-ratelimit-remaining-requests': '0',
    'x-ratelimit-reset-requests': `${fault.ms ?? 1200}ms`,
  })),
  '429-retry-info': withRetryInfo("rate limit with Google's RetryInfo", 'google'),
  '429-retry-info-array': withRetryInfo('the same in an array', 'array'),
  '429-text': withText('seconds', (ms) => `Please try again in ${ms / 1000}s.`),
  '429-text-go': withText(
    'minutes, seconds and milliseconds',
    (ms) => `Please try again in ${Math.floor(ms / 60_000)}m${(ms % 60_000) / 1000}s.`,
  ),
  '429-text-plain': withText('in words', (ms) => `Please retry after ${ms / 1000} seconds.`),
  '429-absurd': {
    about: 'rate limit with an invalid Retry-After, a different one each call (or retryAfter)',
    on: 'both',
    harm: 'before',
    arg: 'retryAfter',
    refuse: (fault, { call }) => limited({ 'retry-after': String(fault.retryAfter ?? ABSURD[(call - 1) % ABSURD.length]) }),
  },
  '429-empty': refusing('rate limit with an empty body', 'rate-limit', { shape: 'empty' }),
  '429-html': refusing('rate limit of a reverse proxy, as HTML', 'rate-limit', { shape: 'html' }),
  '429-tokens': refusing('rate limit of tokens', 'rate-limit', { type: 'tokens', message: 'Rate limit reached on tokens per min (TPM).' }),
  '429-quota': refusing('insufficient_quota', 'quota'),
  '429-quota-day': refusing("Google's daily quota, with a RetryInfo that is far too short", 'rate-limit', {
    shape: 'google',
    retryDelay: '1s',
    extra: {
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
          violations: [
            { quotaMetric: 'generate_requests', quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier', quotaValue: '50' },
          ],
        },
      ],
    },
  }),
  '429-too-large': refusing('request larger than the limit', 'too-large'),
  '429-slow-down': refusing('slow_down', 'slow-down'),
  '429-flex': refusing('resource_unavailable: no flex capacity', 'rate-limit', {
    code: 'resource_unavailable',
    type: 'resource_unavailable',
    message: 'Flex capacity is not available at the moment.',
  }),
};
