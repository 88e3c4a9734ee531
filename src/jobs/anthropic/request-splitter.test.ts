import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RequestSplitter } from './request-splitter.ts';

function split(text: string, size: number, max = 1_000): { requests: string[]; fault: string | null } {
  const splitter = new RequestSplitter(max);
  const bytes = Buffer.from(text);
  const requests: string[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    for (const found of splitter.read(bytes.subarray(at, at + size))) {
      if ('fault' in found) return { requests, fault: found.fault };
      requests.push(Buffer.from(found).toString());
    }
  }
  return { requests, fault: splitter.end()?.fault ?? null };
}

test('requests are found at any chunk boundaries', () => {
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.string());
  const body = fc.record({ before: value, requests: fc.array(fc.dictionary(fc.string(), value), { maxLength: 5 }), after: value });
  fc.assert(
    fc.property(body, fc.integer({ min: 1, max: 40 }), fc.constantFrom(0, 2), ({ before, requests, after }, size, space) => {
      const text = JSON.stringify({ before, requests, after }, null, space);
      const found = split(text, size, 1e6);
      assert.deepEqual(
        [found.requests.map((request) => JSON.parse(request) as unknown), found.fault],
        [JSON.parse(JSON.stringify(requests)), null],
      );
    }),
  );
});

test('a frame other than an object with one array of objects is a fault, at every chunk size', () => {
  for (const [text, fault] of [
    ['', /is truncated/],
    ['[]', /must be a JSON object/],
    ['{}', /requests: field required/],
    ['{"requests":[{}]', /is truncated/],
    ['{"requests":[{}', /is truncated/],
    ['{"requests":[{},]}', /requests\.1: must be an object/],
    ['{"requests":[1]}', /requests\.0: must be an object/],
    ['{"requests":[{}{}]}', /not valid JSON/],
    ['{"requests":[{}]}{}', /not valid JSON/],
    ['{"requests":[{}],"requests":[{}]}', /duplicate member/],
    ['{"requests":"x"}', /requests: must be an array/],
    ['{requests:[]}', /not valid JSON/],
    ['{"a" 1}', /not valid JSON/],
    [`{"a":"${'x'.repeat(70_000)}"}`, /too much besides its requests/],
    [`{"a":${'1'.repeat(70_000)}}`, /too much besides its requests/],
    [`{"requests":[{"x":"${'x'.repeat(1_000)}"}]}`, /requests\.0: it is larger than/],
  ] as const) {
    for (const size of [1, 7, 100_000]) assert.match(split(text, size).fault ?? 'none', fault, `${text.slice(0, 40)} by ${size}`);
  }
});

test('a request that arrives byte by byte takes memory by its size, not by its chunks', () => {
  const splitter = new RequestSplitter(1_000_000);
  const bytes = Buffer.from(`{"requests":[{"x":"${'x'.repeat(400_000)}`);
  const before = process.memoryUsage().arrayBuffers;
  for (let at = 0; at < bytes.length; at++) assert.equal([...splitter.read(bytes.subarray(at, at + 1))].length, 0);
  assert.equal(splitter.heldBytes, bytes.length - '{"requests":['.length);
  assert.ok(process.memoryUsage().arrayBuffers - before < 4 * bytes.length);
});
