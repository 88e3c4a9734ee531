import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BreakwaterError } from '../../core/errors.ts';
import { ERRORS } from '../../wire/dialects.ts';
import { errorResponse } from './error-response.ts';

function read(protocol: 'openai' | 'anthropic' | 'gemini', error: BreakwaterError) {
  const { status, headers, body } = errorResponse(ERRORS[protocol], error, 'req_1', null);
  const pairs = Array.from({ length: headers.length / 2 }, (_, i) => [headers[2 * i], headers[2 * i + 1]]);
  assert.equal(Object.fromEntries(pairs)['content-length'], String(body.byteLength));
  return {
    status,
    headers: Object.fromEntries(pairs) as Record<string, string>,
    body: JSON.parse(Buffer.from(body).toString()) as unknown,
  };
}

test('an error has the shape of its protocol', () => {
  const error = new BreakwaterError('rate_limited', 'später', { param: 'model' });
  assert.deepEqual(read('openai', error).body, {
    error: { message: 'später', type: 'rate_limit_error', param: 'model', code: 'rate_limited' },
  });
  const anthropic = read('anthropic', error);
  assert.deepEqual(anthropic.body, { type: 'error', error: { type: 'rate_limit_error', message: 'später' }, request_id: 'req_1' });
  assert.equal(anthropic.headers['request-id'], 'req_1');
  assert.deepEqual(read('gemini', error).body, { error: { code: 429, message: 'später', status: 'RESOURCE_EXHAUSTED' } });
  assert.deepEqual(read('gemini', new BreakwaterError('upstream_auth_failed', 'no')).body, {
    error: { code: 502, message: 'no', status: 'INTERNAL' },
  });
});

test('a known wait is given in seconds, rounded up, and in milliseconds', () => {
  const { headers } = read('openai', new BreakwaterError('rate_limited', 'm', { retryAfterMs: 1000.2 }));
  assert.deepEqual([headers['retry-after'], headers['retry-after-ms'], headers['x-should-retry']], ['2', '1001', 'true']);
  const now = read('openai', new BreakwaterError('queue_full', 'm', { retryAfterMs: 0 })).headers;
  assert.deepEqual([now['retry-after'], now['retry-after-ms'], now['x-should-retry']], ['0', '0', 'true']);
});

test('an unknown or endless wait is not given, and no retry is suggested', () => {
  for (const retryAfterMs of [null, Infinity, Number.NaN]) {
    const { headers } = read('openai', new BreakwaterError('no_target_available', 'm', { retryAfterMs }));
    assert.deepEqual([headers['retry-after'], headers['retry-after-ms'], headers['x-should-retry']], [undefined, undefined, 'false']);
  }
});

test('after a wait of more than a minute, or a fault of the request, no retry is suggested', () => {
  assert.equal(read('openai', new BreakwaterError('rate_limited', 'm', { retryAfterMs: 60_000 })).headers['x-should-retry'], 'true');
  assert.equal(read('openai', new BreakwaterError('rate_limited', 'm', { retryAfterMs: 60_001 })).headers['x-should-retry'], 'false');
  assert.equal(read('openai', new BreakwaterError('budget_exceeded', 'm', { retryAfterMs: 1000 })).headers['x-should-retry'], 'false');
});
