import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldBytes } from './held-bytes.ts';

test('bodies are refused at the limit; what is in memory already is counted beyond it', () => {
  let max = 100;
  const held = new HeldBytes(() => max);
  assert.equal(held.tryHold(80), true);
  assert.equal(held.tryHold(21), false);
  assert.deepEqual([held.total, held.isFull], [80, false]);
  held.hold(40);
  assert.deepEqual([held.total, held.isFull], [120, true]);
  max = 200;
  assert.equal(held.isFull, false);
  held.release(120);
  assert.equal(held.total, 0);
  assert.throws(() => held.release(1), /given back once/);
});
