import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailingItems } from './failing-items.ts';

test('an item is at fault after six failures over twenty seconds, if others succeeded around its start', () => {
  const blamed = (succeededAt: number, times: readonly number[]): boolean => {
    const items = new FailingItems();
    return times.map((now) => items.failed(7, now, succeededAt)).at(-1)!;
  };
  const often = [100_000, 101_000, 102_000, 110_000, 120_000, 131_000];
  assert.equal(blamed(100_500, often), true);
  assert.equal(blamed(75_000, often), true, 'shortly before');
  assert.equal(blamed(60_000, often), false, 'nothing has succeeded since: it may be an outage');
  assert.equal(blamed(100_500, often.slice(0, 5)), false, 'too few');
  assert.equal(blamed(100_500, [1, 2, 3, 4, 5, 6]), false, 'too soon');
});

test('tracked items are bounded, and removed when they end', () => {
  const items = new FailingItems();
  for (let n = 0; n < 5_000; n++) items.failed(n, 0, 0);
  for (let i = 0; i < 5; i++) items.failed(4_999, 40_000, 0);
  items.forget(4_999);
  assert.equal(items.failed(4_999, 80_000, 80_000), false);
});
