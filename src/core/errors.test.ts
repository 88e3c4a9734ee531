import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BreakwaterError, ERROR_CATALOGUE } from './errors.ts';
import type { ErrorCode } from './errors.ts';

test('the public error codes have their statuses', () => {
  const statuses = Object.fromEntries(Object.entries(ERROR_CATALOGUE).map(([code, { status }]) => [code, status]));
  assert.deepEqual(statuses, {
    invalid_request: 400,
    capability_unsupported: 400,
    invalid_api_key: 401,
    model_not_allowed: 403,
    not_local: 403,
    model_not_found: 404,
    not_found: 404,
    previous_response_not_found: 400,
    request_too_large: 413,
    idempotency_conflict: 409,
    queue_full: 429,
    budget_exceeded: 429,
    rate_limited: 429,
    no_target_available: 503,
    deadline_exceeded: 504,
    upstream_auth_failed: 502,
    all_targets_failed: 502,
    stream_interrupted: 502,
    stream_stalled: 504,
    store_unavailable: 503,
    shutting_down: 503,
    internal_error: 500,
  });
});

test('only temporary refusals are retryable', () => {
  const retryable = (Object.keys(ERROR_CATALOGUE) as ErrorCode[]).filter((code) => ERROR_CATALOGUE[code].retryable);
  assert.deepEqual(retryable, ['queue_full', 'rate_limited', 'no_target_available', 'shutting_down']);
  for (const code of retryable) assert.equal(ERROR_CATALOGUE[code].refused, true);
});

test('an error has its family, and optionally an upstream status, a field, a wait and a cause', () => {
  const cause = new Error('socket');
  const error = new BreakwaterError('all_targets_failed', 'both failed', { status: 529, param: 'model', retryAfterMs: 250, cause });
  assert.deepEqual(
    [error.code, error.status, error.param, error.retryAfterMs, error.refused, error.cause],
    ['all_targets_failed', 529, 'model', 250, false, cause],
  );
  const plain = new BreakwaterError('queue_full', 'no room');
  assert.deepEqual([plain.status, plain.param, plain.retryAfterMs, plain.refused, 'cause' in plain], [429, null, null, true, false]);
});
