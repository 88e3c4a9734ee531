import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineReader } from './line-reader.ts';

function lines(text: string, size: number, lengthMax = 100): [number, string | null][] {
  const reader = new LineReader(lengthMax);
  const found: [number, string | null][] = [];
  const bytes = Buffer.from(text);
  const take = (read: Iterable<{ number: number; bytes: Uint8Array | null }>): void => {
    for (const line of read) found.push([line.number, line.bytes === null ? null : Buffer.from(line.bytes).toString()]);
  };
  for (let at = 0; at < bytes.length; at += size) take(reader.read(bytes.subarray(at, at + size)));
  take(reader.end());
  return found;
}

test('lines are numbered as in an editor, at every chunk size', () => {
  const text = '\uFEFFone\r\n\n \t\r\nfour ü\nfive';
  for (let size = 1; size < 30; size++) {
    assert.deepEqual(
      lines(text, size),
      [
        [1, 'one'],
        [4, 'four ü'],
        [5, 'five'],
      ],
      `pieces of ${size}`,
    );
  }
  assert.deepEqual(lines('', 1), []);
});

test('an oversized line is reported, and the next one is read', () => {
  for (const size of [1, 3, 50]) {
    assert.deepEqual(lines(`${'x'.repeat(20)}\nok\n${'y'.repeat(20)}`, size, 10), [
      [1, null],
      [2, 'ok'],
      [3, null],
    ]);
  }
});
