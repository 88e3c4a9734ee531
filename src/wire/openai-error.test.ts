import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { SseFramer } from './sse/sse-framer.ts';
import { encodeComment } from './sse/comment.ts';
import { encodeErrorBody, encodeStreamError } from './openai-error.ts';

const error = { message: 'line\nbreak "quoted"', type: 'api_error', param: null, code: 'stream_interrupted' };
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test('an error body has the four fields and no other', () => {
  const leaky = { ...error, secret: 'x' };
  assert.deepEqual(JSON.parse(text(encodeErrorBody(leaky))), { error });
});

test('an error in a stream is one event, whatever its message contains', () => {
  const framer = new SseFramer(1000);
  framer.push(encodeStreamError(error));
  assert.ok(framer.next());
  assert.deepEqual(JSON.parse(framer.readData() ?? ''), { error });
  assert.equal(framer.next(), false);
});

test('a comment stays a comment', () => {
  assert.equal(text(encodeComment('keep-alive')), ': keep-alive\n\n');
  const framer = new SseFramer(1000);
  framer.push(encodeComment('a\n\ndata: forged\r\rdata: too\u0000'));
  assert.ok(framer.next());
  assert.equal(framer.readData(), null);
  assert.equal(framer.next(), false);
});
