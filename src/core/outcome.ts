/** The meaning of a finished attempt. */
export const VERDICTS = ['success', 'retry', 'switch', 'reject'] as const;
export type Verdict = (typeof VERDICTS)[number];

/**
 * Why an attempt failed or a target was skipped, as one token for `x-breakwater-fallback`, logs, metrics and timelines. Never a
 * provider's own text.
 */
export const REASONS = [
  'rate_limited',
  'quota',
  'auth',
  'overloaded',
  'server_error',
  'timeout',
  'slow',
  'connection',
  'internal',
  'interrupted',
  'stalled',
  'malformed',
  'empty',
  'context_length',
  'model_not_found',
  'unsupported',
  'content_filter',
  'too_large',
  'invalid_request',
  'refused',
  'conflict',
  'limited',
  'budget',
  'cooling',
  'quarantined',
  'open',
  'isolated',
  'incapable',
  'busy',
  'cancelled',
  'deadline',
  'quality',
] as const;
export type Reason = (typeof REASONS)[number];
