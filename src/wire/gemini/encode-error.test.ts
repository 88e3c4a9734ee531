import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { geminiErrors } from './encode-error.ts';

const words = { status: 429, message: 'slow down', type: null, param: null, code: null };
const read = (bytes: Uint8Array): unknown =>
  JSON.parse(
    Buffer.from(bytes)
      .toString()
      .replace(/^data: /, ''),
  );

test("an error has Google's status name and carries the retry delay as RetryInfo", () => {
  const error = { code: 429, message: 'slow down', status: 'RESOURCE_EXHAUSTED' };
  assert.deepEqual(read(geminiErrors.body(words, 'req_1')), { error });
  const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '2s' }];
  assert.deepEqual(read(geminiErrors.body({ ...words, retryAfterMs: 1_200 }, 'req_1')), { error: { ...error, details } });
  assert.deepEqual(read(geminiErrors.event({ ...words, retryAfterMs: 1_200 }, 'req_1')), { error: { ...error, details } });
});

test('an error of a provider gets the new status code and keeps every other byte', () => {
  const restated = (text: string): string => Buffer.from(geminiErrors.restated!(Buffer.from(text), 424)).toString();
  const body = (code: number): string =>
    `{\n "error": {\n  "message": "{\\"code\\":503}", "code" : ${code},\n "status": "UNAVAILABLE" } }\n`;
  assert.equal(restated(body(503)), body(424));
  for (const other of [
    '',
    '<html>{',
    '{"error":',
    '{"error":"overloaded"}',
    '{"error":{"code":"x"}}',
    '[{"error":{"code":503}}]',
    '\uFEFF{}',
  ])
    assert.equal(restated(other), other);
});
