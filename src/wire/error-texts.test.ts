import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorTexts } from './error-texts.ts';

const textsOf = (body: unknown): string => errorTexts(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));

test('returns all texts of an error, at any depth', () => {
  assert.equal(textsOf({ error: { message: 'm', param: 'a.b', code: 7, inner: [{ loc: ['body', 0, 'x'] }] } }), 'm\na.b\nbody\nx');
  assert.equal(textsOf('no JSON: x'), 'no JSON: x');
  assert.equal(textsOf('"just a text"'), 'just a text');
});

test('omits what a server echoes of the request', () => {
  assert.equal(
    textsOf({ detail: [{ msg: 'Field required', loc: ['body'], input: { stream_options: 'x' }, ctx: 'y' }] }),
    'Field required\nbody',
  );
});

test('is bounded', () => {
  let deep: unknown = 'x';
  for (let i = 0; i < 1_000; i++) deep = [deep];
  assert.equal(textsOf(deep), '');
  assert.ok(textsOf(Array.from({ length: 10_000 }, () => 'x')).length <= 400);
  assert.ok(textsOf('x'.repeat(1_000_000)).length <= 65_536);
});
