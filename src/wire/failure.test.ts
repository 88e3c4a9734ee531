import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { readErrorBody } from './error-shape.ts';
import { failureFromResponse, resetFailure } from './failure.ts';
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
    ['', [null, null, null, 'the provider returned status 429 without a message']],
    ['{"error":', [null, null, null, '{"error":']],
    ['[]', [null, null, null, 'the provider returned status 429 without a message']],
    ['" "', [null, null, null, 'the provider returned status 429 without a message']],
    ['null', [null, null, null, 'null']],
    [{ error: null }, [null, null, null, 'the provider returned status 429 without a message']],
    ['\ufeff\n{"error":{"message":"marked"}}', [null, null, null, 'marked']],
  ];
  for (const [body, expected] of shapes) assert.deepEqual(words(body), expected, JSON.stringify(body));
});

test('a type that only says "error" is ignored', () => {
  const typeIn = (body: object): string | null => readErrorBody(Buffer.from(JSON.stringify(body))).type;
  assert.equal(typeIn({ type: 'error', error: { message: 'no' } }), null);
  assert.equal(typeIn({ type: 'overloaded_error', error: { message: 'no' } }), 'overloaded_error');
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
    ['99999999999', null],
    ['2678400', 2_678_400_000],
    ['2678401', null],
    [' 2 ', 2000],
    ['2s', 2000],
    ['1m30s', 90_000],
    ['2, 5', null],
    ['Infinity', null],
    ['1e400', null],
    ['0x10', null],
    ['+5', null],
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

test('an invalid hint is ignored, and the next one used', () => {
  assert.equal(waitOf({ 'retry-after-ms': '99999999999999', 'retry-after': '2' }), 2000);
  assert.equal(waitOf({ 'retry-after-ms': '', 'x-ms-retry-after-ms': 'NaN', 'retry-after': '1' }), 1000);
  assert.equal(waitOf({ 'retry-after': '99999999999' }, { error: { message: 'try again in 3s' } }), 3000);
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

test('finds waits in bodies at any depth, but not in echoes of the request', () => {
  const info = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '13s' };
  const google = { error: { code: 429, message: 'm', status: 'RESOURCE_EXHAUSTED', details: [{ violations: [] }, info] } };
  const bodies: unknown[] = [
    google,
    [google],
    { error: google },
    JSON.stringify(google),
    { error: { message: JSON.stringify(google) } },
    { error: { message: 'm', details: [{ details: [info] }] } },
    { error: { message: 'm', metadata: { raw: JSON.stringify(google) } } },
    { error: { message: 'm', innererror: { retry_after: 13 } } },
    { error: { message: 'm' }, retry_after: 13 },
    { error: 'm', retry_after_ms: 13_000 },
    { errors: [{ message: 'm', retry_after: '13' }] },
    { error: 'Model m is currently loading', estimated_time: 13 },
  ];
  for (const body of bodies) assert.equal(waitOf({}, body), 13_000, JSON.stringify(body));
  // An echo of the request says nothing about the provider.
  assert.equal(waitOf({}, { detail: [{ msg: 'm', input: { retry_after: 13, details: [info] } }] }), null);
  for (const absurd of [-3, Infinity, 'soon', null, true, {}, 99_999_999]) {
    assert.equal(waitOf({}, { error: { message: 'm', retry_after: absurd } }), null, String(absurd));
  }
});

test('finds waits in messages', () => {
  const cases: [string, number | null][] = [
    ['Rate limited. Try again in 450ms', 450],
    ['Please try again in 1m30s.', 90_000],
    ['try again in 6 minutes', 360_000],
    ['retry after 30 seconds', 30_000],
    ['Please wait 20 seconds before you ask again', 20_000],
    ['Please retry after: 2 hours', 7_200_000],
    ['try your request again in about 5s', 5000],
    ['Limit of model `x` reached. Please try again in 9m38.8s.', 578_800],
    ['try again in 99999999 hours', null],
    ['try again in -5s', null],
    ['try again in NaNs', null],
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

test('reads the codes that matter: a daily quota, a moderated input, an AWS error, a number', () => {
  const quota = { '@type': 'x', violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }] };
  const daily = { error: { code: 429, message: 'm', status: 'RESOURCE_EXHAUSTED', details: [quota] } };
  assert.equal(failure([daily]).code, 'GenerateRequestsPerDayPerProjectPerModel-FreeTier');
  const minute = { error: { ...daily.error, details: [{ violations: [{ quotaId: 'GenerateRequestsPerMinutePerProject' }] }] } };
  assert.equal(failure(minute).code, 'RESOURCE_EXHAUSTED');
  assert.equal(failure({ error: { code: 403, message: 'm', metadata: { reasons: ['x'], flagged_input: 'y' } } }).code, 'moderation');
  assert.equal(failure({ message: 'm' }, { 'x-amzn-errortype': 'ThrottlingException:http://x/' }).code, 'ThrottlingException');
  const mapped = failure({ message: 'm', originalStatusCode: 400 }, { 'x-amzn-errortype': 'ModelErrorException' }, 424);
  assert.deepEqual([mapped.status, mapped.code], [400, 'ModelErrorException']);
  assert.deepEqual([failure({ error: 503 }).code, failure({ error: 503, message: 'm' }).message], ['503', 'm']);
});

test('an unsupported field is found even if only the message names it', () => {
  const cases: [string, string | null][] = [
    ["Unsupported parameter: 'max_tokens' is not supported with this model.", 'max_tokens'],
    ["Unsupported value: 'temperature' does not support 0.2 with this model.", 'temperature'],
    ['Unrecognized request argument supplied: top_k', 'top_k'],
    ['Unknown parameter: `logprobs`.', 'logprobs'],
    ['Invalid JSON payload received. Unknown name "seed": Cannot find field.', 'seed'],
    ['temperature: Extra inputs are not permitted', 'temperature'],
    ['`top_p` is deprecated for this model.', 'top_p'],
    ["property 'logit_bias' is unsupported", 'logit_bias'],
    ["'logprobs' : this feature is not supported", 'logprobs'],
    ['logit_bias is not yet supported by any model', 'logit_bias'],
    ['This model does not support the parameter `penalty`', 'penalty'],
    ["[{'type': 'extra_forbidden', 'loc': ('body', 'foo'), 'msg': 'Extra inputs are not permitted'}]", 'foo'],
    ["Invalid value: 'temperature is not supported'. Supported values are: 'system'", null],
    ['Slow down', null],
  ];
  for (const [message, expected] of cases) assert.equal(failure({ error: { message } }, {}, 400).param, expected, message);
  const own = failure({ error: { message: "Unsupported parameter: 'b'", param: 'a' } }, {}, 400);
  assert.equal(own.param, 'a', 'its own word for it comes first');
});

test('reads other charsets by name and by mark', () => {
  const text = '{"error":{"message":"Zu viele Anfragen, bitte später"}}';
  const of = (body: Buffer, type: string) =>
    failureFromResponse({ status: 429, headers: new Headers({ 'content-type': type }), body, epochMs: NOW }).message;
  const expected = 'Zu viele Anfragen, bitte später';
  assert.equal(of(Buffer.from(text, 'latin1'), 'application/json; charset=ISO-8859-1'), expected);
  assert.equal(of(Buffer.from(`\ufeff${text}`, 'utf16le'), 'application/json'), expected);
  assert.equal(of(Buffer.from(text, 'utf16le'), 'application/json;charset="utf-16le"'), expected);
  assert.equal(of(Buffer.from(text), 'application/json; charset=klingon'), expected);
});

test('a hostile body costs little', () => {
  const megabyte = 1024 * 1024;
  const deep = (open: string, close: string, inner: string) => {
    const levels = Math.floor(megabyte / (open.length + close.length));
    return open.repeat(levels) + inner + close.repeat(levels);
  };
  const bodies = [
    deep('[', ']', ''),
    deep('{"error":', '}', '1'),
    deep('{"details":[', ']}', '1'),
    `{"error":{"message":"m","details":[${'{"details":[{},{}]},'.repeat(megabyte / 20)}{}]}}`,
    '<title'.repeat(megabyte / 6),
    `<title ${'<h1 '.repeat(megabyte / 4)}`,
    'try again in '.repeat(megabyte / 13),
    `retry after ${'1'.repeat(megabyte)}`,
    JSON.stringify('\\"'.repeat(megabyte / 4)),
    `{"error":{"message":"${'1s '.repeat(megabyte / 3)}"}}`,
  ];
  const startedAt = process.hrtime.bigint();
  for (const body of bodies) assert.ok(failure(body).message.length <= 1000);
  const ms = Number(process.hrtime.bigint() - startedAt) / 1e6;
  assert.ok(ms < 3000, `${ms} ms`);
});

test('reads anything without throwing, and always has a message', () => {
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

test('invalid HTTP, or too large headers, are not reported as a broken connection', () => {
  const failures = ['HTTPParserError', 'HPE_INVALID_CONSTANT', 'UND_ERR_HEADERS_OVERFLOW', 'HPE_HEADER_OVERFLOW', 'ECONNRESET'].map(
    (named) => resetFailure(named, false),
  );
  assert.deepEqual(
    failures.map(({ kind, message }) => [kind, message]),
    [
      ['reset', 'the response is not valid HTTP: check the scheme and port of baseUrl (HTTPParserError)'],
      ['reset', 'the response is not valid HTTP: check the scheme and port of baseUrl (HPE_INVALID_CONSTANT)'],
      ['reset', 'the response headers are too large (UND_ERR_HEADERS_OVERFLOW)'],
      ['reset', 'the response headers are too large (HPE_HEADER_OVERFLOW)'],
      ['reset', 'the connection broke before the response began (ECONNRESET)'],
    ],
  );
});
