import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from './seeded-random.ts';

function take(seed: number, count: number): number[] {
  const random = createSeededRandom(seed);
  return Array.from({ length: count }, () => random.next());
}

test('a seed gives the same numbers every time', () => {
  assert.deepEqual(take(42, 100), take(42, 100));
});

test('adjacent seeds give unrelated numbers', () => {
  const firsts = new Set(Array.from({ length: 1_000 }, (_, seed) => take(seed, 1)[0]));
  assert.equal(firsts.size, 1_000);
  const mean = [...firsts].reduce<number>((sum, value) => sum + (value ?? 0), 0) / firsts.size;
  assert.ok(mean > 0.45 && mean < 0.55, `mean ${mean}`);
});

test('numbers are uniform in [0, 1)', () => {
  const buckets = new Array<number>(10).fill(0);
  for (const value of take(7, 100_000)) {
    assert.ok(value >= 0 && value < 1);
    const bucket = Math.floor(value * 10);
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }
  for (const count of buckets) assert.ok(count > 9_500 && count < 10_500, `bin of ${count}`);
});

test('the sequence never changes between versions, so that a printed seed can be replayed', () => {
  assert.deepEqual(take(1, 3), [0.45258649555034935, 0.67116988170892, 0.4301994922570884]);
});
