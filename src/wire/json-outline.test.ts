import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { JsonOutline, parseBounded } from './json-outline.ts';

function outlineOf(text: string, size = Infinity): { value: unknown; values: number } {
  const bytes = Buffer.from(text);
  const outline = new JsonOutline();
  for (let at = 0; at < bytes.length; at += Math.min(size, bytes.length)) outline.push(bytes.subarray(at, at + size));
  return { value: outline.parse(), values: outline.values };
}

test('small values are complete in any chunking', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 1, max: 50 }), (value, size) => {
      const text = JSON.stringify(value);
      assert.deepEqual(outlineOf(text).value, JSON.parse(text));
      assert.deepEqual(outlineOf(text, size).value, JSON.parse(text));
    }),
    { numRuns: 1000 },
  );
});

test('invalid JSON has no value', () => {
  for (const text of ['', '{', '[1,', '{"a":"', '"x', '{]', '{"a":1}}', 'x', '{"a" 1}', '[1 2]']) {
    assert.equal(outlineOf(text).value, undefined, text);
  }
});

test('a long list is cut after its first items, and the text after it is read', () => {
  const text = JSON.stringify({ a: Array.from({ length: 5000 }, (_, i) => ({ i })), b: { c: [1, { d: 2 }] } });
  for (const size of [Infinity, 777, 1]) {
    const { value } = outlineOf(text, size);
    const { a, b } = value as { a: unknown[]; b: unknown };
    assert.equal(a.length, 1000);
    assert.deepEqual(a[999], { i: 999 });
    assert.deepEqual(b, { c: [1, { d: 2 }] });
  }
});

test('deep values share a limit, and the values above them are not cut because of it', () => {
  const logprobs = { content: Array.from({ length: 900 }, (_, i) => ({ token: 't', top: Array.from({ length: 100 }, () => [i]) })) };
  const { value } = outlineOf(
    JSON.stringify({ choices: [{ message: { content: 'hi' }, logprobs, finish_reason: 'stop' }], usage: { a: 1 } }),
  );
  const { choices, usage } = value as { choices: { message: unknown; finish_reason: string }[]; usage: unknown };
  assert.equal(choices[0]!.finish_reason, 'stop');
  assert.deepEqual(choices[0]!.message, { content: 'hi' });
  assert.deepEqual(usage, { a: 1 });
});

test('16 MB of empty objects are a thousand of them', () => {
  const outline = new JsonOutline();
  outline.push(Buffer.from('{"choices":[],"x":['));
  const chunk = Buffer.from('{},'.repeat(20_000));
  const usedBefore = process.memoryUsage().heapUsed;
  for (let i = 0; i < 267; i++) outline.push(chunk);
  outline.push(Buffer.from('{}],"usage":{"prompt_tokens":1}}'));
  const value = outline.parse() as { x: unknown[]; usage: unknown };
  assert.equal(value.x.length, 1000);
  assert.deepEqual(value.usage, { prompt_tokens: 1 });
  assert.ok(outline.values > 10_000_000);
  assert.ok(process.memoryUsage().heapUsed - usedBefore < 20_000_000);
});

test('unlimited nesting is cut', () => {
  const { value } = outlineOf(`${'['.repeat(100_000)}1${']'.repeat(100_000)}`);
  let depth = 0;
  for (let inner: unknown = value; Array.isArray(inner); inner = (inner as unknown[])[0]) depth++;
  assert.equal(depth, 65);
});

test('a long string is cut, but never inside a character or an escape', () => {
  const MB = 1024 * 1024;
  for (const unit of ['x', '你', '\\n', '\\u00e9', '\\\\', '\\ud83d\\ude00', '😀', '\\"']) {
    for (let shift = 0; shift < 6; shift++) {
      const text = `{"a":"${'x'.repeat(shift)}${unit.repeat(Math.ceil((1.2 * MB) / Buffer.byteLength(unit)))}","b":1}`;
      for (const size of [Infinity, 100_001]) {
        const value = outlineOf(text, size).value as { a: string; b: number } | undefined;
        assert.ok(value !== undefined, `${unit} ${shift}`);
        assert.equal(value.b, 1);
        assert.ok(value.a.length > 100_000 && Buffer.byteLength(JSON.stringify(value.a)) <= 1.1 * MB * 6, `${unit} ${value.a.length}`);
      }
    }
  }
});

test('a short text is parsed directly', () => {
  assert.deepEqual(parseBounded('{"a":[1,2]}'), { a: [1, 2] });
  assert.equal(parseBounded('{"a":'), undefined);
  const long = JSON.stringify({ a: 'x'.repeat(100_000), b: [1] });
  assert.deepEqual(parseBounded(long), JSON.parse(long));
});
