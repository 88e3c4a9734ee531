import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { equalJitter, fullJitter } from './backoff.ts';

const OPTIONS = { baseDelayMs: 250, maxDelayMs: 8000 };
const ALMOST_ONE = { next: () => 1 - Number.EPSILON };

test('the bound doubles with every retry up to the maximum', () => {
  const bounds = [1, 2, 3, 6, 7, 50].map((repeat) => Math.round(fullJitter(OPTIONS, repeat, ALMOST_ONE)));
  assert.deepEqual(bounds, [250, 500, 1000, 8000, 8000, 8000]);
});

test('property: full jitter covers the whole range, equal jitter its upper half', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 5000 }), (seed, repeat) => {
      const bound = Math.min(8000, 250 * 2 ** (repeat - 1));
      const full = fullJitter(OPTIONS, repeat, createSeededRandom(seed));
      const equal = equalJitter(OPTIONS, repeat, createSeededRandom(seed));
      assert.ok(full >= 0 && full < bound);
      assert.ok(equal >= bound / 2 && equal < bound);
    }),
  );
});
