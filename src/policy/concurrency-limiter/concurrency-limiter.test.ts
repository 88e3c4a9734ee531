import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssertionError } from '../../core/assert.ts';
import { testResourceContract } from '../../core/resource.contract.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import { ConcurrencyLimiter } from './concurrency-limiter.ts';

testResourceContract('a concurrency limiter', () => new ConcurrencyLimiter('p#1:concurrency', 3));

test('admits up to the limit, and the next call when one has ended', () => {
  const limiter = new ConcurrencyLimiter('p#1:concurrency', 2);
  limiter.reserve();
  limiter.reserve();
  assert.equal(limiter.earliest(5), WHEN_SETTLED);
  limiter.settle();
  assert.equal(limiter.earliest(5), 5);
  assert.deepEqual([limiter.inUse, limiter.available()], [1, 1]);
});

test('releasing a slot twice is a broken invariant', () => {
  const limiter = new ConcurrencyLimiter('p#1:concurrency', 2);
  limiter.reserve();
  limiter.cancel();
  assert.throws(() => limiter.settle(), AssertionError);
});

test('requests never wait for a limit of zero', () => {
  assert.equal(new ConcurrencyLimiter('p#1:concurrency', 0).earliest(0), Infinity);
});
