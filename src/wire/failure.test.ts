import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { failureFromResponse } from './failure.ts';
import type { Failure } from '../core/facts.ts';

const NOW = Date.parse('2026-11-22T12:00:00Z');

function failure(body: unknown, headers: Record<string, string> = {}, status = 429): Failure {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return failureFromResponse({ status, headers: new Headers(headers), body: Buffer.from(text), epochMs: NOW });
}

const words = (body: unknown): (string | null)[] => {
  const { code, type, param, message } = failure(body);
  return [code, type, param, message];
};

const waitOf = (headers: Record<string, string>, body: unknown = ''): number | null => failure(body, headers).retryAfterMs;

test('reads every shape of an error body', () => {
  const shapes: [unknown, (string | null)[]][] = [
    [
      { error: { message: 'Slow', type: 'requests', param: null, code: 'rate_limit_exceeded' } },
      ['rate_limit_exceeded', 'requests', null, 'Slow'],
    ],
    [
      { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' }, request_id: 'r' },
      [null, 'overloaded_error', null, 'Overloaded'],
    ],
    [
      { type: 'error', error: { type: 'rate_limit_error', message: 'm', details: { error_code: 'ramp_limit_exceeded' } } },
      ['ramp_limit_exceeded', 'rate_limit_error', null, 'm'],
    ],
    [{ object: 'error', message: 'Bad', type: 'invalid_request', param: 'x', code: '1800' }, ['1800', 'invalid_request', 'x', 'Bad']],
    [
      { message: 'Queue', type: 'too_many_requests_error', param: 'queue', code: 'queue_exceeded' },
      ['queue_exceeded', 'too_many_requests_error', 'queue', 'Queue'],
    ],
    [{ message: 'only words' }, [null, null, null, 'only words']],
    [{ error: 'Unauthorized' }, [null, null, null, 'Unauthorized']],
    [{ error: 'no such key', code: 'invalid-argument' }, ['invalid-argument', null, null, 'no such key']],
    [{ error: { code: 429, message: 'Quota', status: 'RESOURCE_EXHAUSTED' } }, ['RESOURCE_EXHAUSTED', 'RESOURCE_EXHAUSTED', null, 'Quota']],
    [[{ error: { code: 503, message: 'Busy', status: 'UNAVAILABLE' } }], ['UNAVAILABLE', 'UNAVAILABLE', null, 'Busy']],
    [
      { error: { code: 400, message: 'Key', status: 'INVALID_ARGUMENT', details: [{ '@type': 'x', reason: 'API_KEY_INVALID' }] } },
      ['API_KEY_INVALID', 'INVALID_ARGUMENT', null, 'Key'],
    ],
    [{ error: { code: '401', message: 'Denied' } }, ['401', null, null, 'Denied']],
    [
      { error: { code: 502, message: 'Bad upstream', metadata: { error_type: 'provider_unavailable' } } },
      ['502', 'provider_unavailable', null, 'Bad upstream'],
    ],
    [JSON.stringify(JSON.stringify({ error: { message: 'twice', code: 'c' } })), ['c', null, null, 'twice']],
    [{ error: { message: '{"error":{"message":"inner","code":"deep","type":"t"}}' } }, ['deep', 't', null, 'inner']],
    [{ detail: 'Not Found' }, [null, null, null, 'Not Found']],
    [{ detail: [{ loc: ['body', 'model'], msg: 'field required', type: 'missing' }] }, [null, 'missing', 'body.model', 'field required']],
    [{ errors: [{ code: 10000, message: 'Authentication error' }] }, ['10000', null, null, 'Authentication error']],
    ['upstream connect error', [null, null, null, 'upstream connect error']],
    [
      '<!DOCTYPE html><html><head><title>502 Bad &amp; Gateway</title></head></html>',
      [null, null, null, 'an HTML page: 502 Bad & Gateway'],
    ],
    ['<html></html>', [null, null, null, 'an HTML page']],
    ['', [null, null, null, 'the provider answered 429 without a message']],
    ['{"error":', [null, null, null, '{"error":']],
    ['[]', [null, null, null, 'the provider answered 429 without a message']],
    ['" "', [null, null, null, 'the provider answered 429 without a message']],
    ['null', [null, null, null, 'null']],
    [{ error: null }, [null, null, null, 'the provider answered 429 without a message']],
    ['\ufeff\n{"error":{"message":"marked"}}', [null, null, null, 'marked']],
  ];
  for (const [body, expected] of shapes) assert.deepEqual(words(body), expected, JSON.stringify(body));
});

test('keeps status, body and content type', () => {
  const body = '{"error":{"message":"m"}}';
  const found = failure(body, { 'content-type': 'application/json' }, 503);
  assert.equal(found.status, 503);
  assert.equal(found.kind, 'status');
  assert.equal(Buffer.from(found.body ?? []).toString(), body);
  assert.equal(found.contentType, 'application/json');
  assert.equal(failure('').body, null);
});

test('a message is one clean line of at most 1,000 characters', () => {
  const { message } = failure({ error: { message: `a\r\nb\u0000\u001b[31m${'x'.repeat(5000)}` } });
  assert.match(message, /^a b \[31mx+$/);
  assert.equal(message.length, 1000);
});

test('prefers retry-after-ms, then x-ms-retry-after-ms, then retry-after, then the body, then its words', () => {
  const body = { error: { message: 'Please try again in 9s', details: [{ retryDelay: '13s' }] } };
  assert.equal(waitOf({ 'retry-after-ms': '250.5', 'x-ms-retry-after-ms': '300', 'retry-after': '1' }, body), 250.5);
  assert.equal(waitOf({ 'x-ms-retry-after-ms': '300', 'retry-after': '1' }, body), 300);
  assert.equal(waitOf({ 'retry-after': '1' }, body), 1000);
  assert.equal(waitOf({}, body), 13_000);
  assert.equal(waitOf({}, { error: { message: 'Please try again in 9s' } }), 9_000);
  assert.equal(waitOf({}), null);
});

test('reads retry-after as seconds, fractions and every form of HTTP date', () => {
  const cases: [string, number | null][] = [
    ['2', 2000],
    ['0', 0],
    ['1.5', 1500],
    ['86400', 86_400_000],
    ['99999999999', 99_999_999_999_000],
    ['Sun, 22 Nov 2026 12:00:30 GMT', 30_000],
    ['Sun, 22 Nov 2026 12:00:30 -0000', 30_000],
    ['Sun, 22 Nov 2026 13:00:30 +0100', 30_000],
    ['Sunday, 22-Nov-26 12:00:30 GMT', 30_000],
    ['Sun Nov 22 12:00:30 2026', 30_000],
    ['2026-11-22T12:00:30Z', 30_000],
    ['Sun, 22 Nov 2026 11:00:00 GMT', 0],
    ['-5', null],
    ['NaN', null],
    ['Infinity', null],
    ['soon', null],
    ['', null],
    ['1e3', null],
    ['Sun, 99 Nov 2026 12:00:30 GMT', null],
  ];
  for (const [value, expected] of cases) assert.equal(waitOf({ 'retry-after': value }), expected, value);
});

test('a hint that makes no sense gives way to the next one', () => {
  assert.equal(waitOf({ 'retry-after-ms': '-1', 'retry-after': '2' }), 2000);
  assert.equal(waitOf({ 'retry-after': 'never' }, { error: { message: 'x', details: [{ retryDelay: '1.5s' }] } }), 1500);
  assert.equal(waitOf({ 'retry-after-ms': '0', 'retry-after': '2' }), 0);
});

test('finds waits in bodies', () => {
  assert.equal(waitOf({}, [{ error: { code: 429, message: 'q', details: [{ violations: [] }, { retryDelay: '37s' }] } }]), 37_000);
  assert.equal(waitOf({}, { error: { message: 'm', details: [{ retryDelay: { seconds: '13', nanos: 500_000_000 } }] } }), 13_500);
  assert.equal(waitOf({}, { error: { message: 'm', retry_after: 30 } }), 30_000);
  assert.equal(waitOf({}, { error: { message: 'm', details: [{ retryDelay: '-3s' }] } }), null);
});

test('finds waits in words', () => {
  const cases: [string, number | null][] = [
    ['Rate limit reached. Limit 500, Used 499. Please try again in 1.2s. Visit x', 1200],
    ['Please try again in 250ms.', 250],
    ['Please try again in 6m0s.', 360_000],
    ['please try again in 1h2m3.5s', 3_723_500],
    ['Please retry in 37.5s', 37_500],
    ['Please retry after 7 seconds.', 7000],
    ['Try again in 2 minutes and 5 seconds', 125_000],
    ['Try again in 3 mins', 180_000],
    ['Please try again later', null],
    ['try again in 5 apples', null],
    ['retry in mode', null],
  ];
  for (const [text, expected] of cases) assert.equal(waitOf({}, { error: { message: text } }), expected, text);
  assert.equal(waitOf({}, 'Too many requests, try again in 4s'), 4000);
});

test('reads anything without throwing, and its message is always words', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.jsonValue().map((error) => JSON.stringify({ error })),
      ),
      (text) => {
        const found = failure(text);
        assert.ok(found.message.length > 0 && found.message.length <= 1000);
        assert.ok(found.retryAfterMs === null || found.retryAfterMs >= 0);
      },
    ),
    { numRuns: 1000 },
  );
});
