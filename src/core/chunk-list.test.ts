import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkList } from './chunk-list.ts';

test('returns the same bytes in order for all chunk sizes', () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 4000, max: 5000 })), { maxLength: 60 });
  fc.assert(
    fc.property(sizes, (lengths) => {
      let next = 0;
      const pieces = lengths.map((length) => Uint8Array.from({ length }, () => next++ % 251));
      const list = new ChunkList();
      for (const piece of pieces) list.add(piece);
      assert.equal(list.bytes, Buffer.concat(pieces).length);
      assert.deepEqual(Buffer.concat(list.take()), Buffer.concat(pieces));
      assert.deepEqual(list.take(), []);
    }),
    { numRuns: 200 },
  );
});

test('a body received one byte at a time is few objects', () => {
  const list = new ChunkList();
  for (let i = 0; i < 1_000_000; i++) list.add(Uint8Array.of(i & 0xff));
  const pieces = list.take();
  assert.ok(pieces.length < 20, `${pieces.length} pieces`);
  assert.equal(Buffer.concat(pieces).length, 1_000_000);
});

test('a single chunk is not copied', () => {
  const list = new ChunkList();
  const piece = Uint8Array.of(1, 2, 3);
  list.add(piece);
  assert.equal(list.take()[0], piece);
});

test('a few small chunks take little memory', () => {
  const list = new ChunkList();
  for (let i = 0; i < 10; i++) list.add(Uint8Array.of(i));
  const taken = list.take().reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
  assert.ok(taken <= 8 * 1024, `${taken} bytes`);
});
