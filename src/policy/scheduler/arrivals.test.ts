import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arrivals } from './arrivals.ts';

test('the oldest waiting request is the earliest arrival, to the second', () => {
  const arrivals = new Arrivals();
  assert.equal(arrivals.oldest(9_000), 9_000);
  for (const since of [1_200, 1_700, 3_100]) arrivals.count(since, 1);
  assert.equal(arrivals.oldest(9_000), 1_200);
  arrivals.count(1_200, -1);
  assert.ok(arrivals.oldest(9_000) <= 1_700 && arrivals.oldest(9_000) > 700);
  arrivals.count(1_700, -1);
  assert.equal(arrivals.oldest(9_000), 3_100);
  arrivals.count(3_100, -1);
  assert.equal(arrivals.oldest(9_000), 9_000);
});

test('a request that waits for hours is still the oldest', () => {
  const arrivals = new Arrivals();
  const day = 86_400_000;
  arrivals.count(500, 1);
  arrivals.count(4_096_000 + 700, 1);
  arrivals.count(day, 1);
  assert.equal(arrivals.oldest(2 * day), 500);
});
