import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SseReader } from './sse.ts';

const text = 'id: x-1\nevent: hello\ndata: {"a":1}\n\n:\n\nid: x-2\nevent: tick\ndata: {"b":\ndata: 2}\n\n';

test('events are parsed however they are split into chunks', () => {
  const expected = [
    { type: 'hello', id: 'x-1', data: '{"a":1}' },
    { type: 'tick', id: 'x-2', data: '{"b":\n2}' },
  ];
  for (const length of [1, 2, 7, text.length]) {
    const reader = new SseReader();
    const found = [];
    for (let at = 0; at < text.length; at += length) found.push(...reader.push(text.slice(at, at + length)));
    assert.deepEqual(found, expected);
  }
});

test('an endless event is an error', () => {
  const reader = new SseReader();
  assert.throws(() => {
    for (let i = 0; i < 50; i++) reader.push('x'.repeat(100_000));
  }, /too long/);
});
