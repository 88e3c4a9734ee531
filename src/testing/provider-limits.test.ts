import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LimitAccount, type CallCount } from './provider-limits.ts';

const MINUTE = 60_000;
const call = (inputTokens = 0, outputTokens = 0): CallCount => ({ inputTokens, outputTokens });

test('a bucket admits its burst at once, then at the refill rate', () => {
  const account = new LimitAccount({ requestsPerMinute: 60, burst: 0.5 });
  for (let i = 0; i < 30; i++) {
    assert.equal(account.refusal(0, call()), null);
    account.take(0, call());
  }
  assert.deepEqual(account.refusal(0, call()), { by: 'requestsPerMinute', waitMs: 1000 });
  assert.equal(account.refusal(1_000, call()), null);
});

test('a sliding window never exceeds its limit', () => {
  const account = new LimitAccount({ requestsPerMinute: 2, enforce: 'sliding' });
  account.take(0, call());
  account.take(20_000, call());
  assert.deepEqual(account.refusal(30_000, call()), { by: 'requestsPerMinute', waitMs: 30_000 });
  assert.equal(account.refusal(MINUTE, call()), null);
});

test('a call larger than the burst starts on a full bucket and leaves it negative; one above the limit never starts', () => {
  const account = new LimitAccount({ tokensPerMinute: 6_000, burst: 0.5 });
  assert.equal(account.refusal(0, call(5_000)), null);
  account.take(0, call(5_000));
  assert.deepEqual(account.refusal(0, call(100)), { by: 'tokensPerMinute', waitMs: 21_000 });
  assert.equal(account.refusal(0, call(6_001))?.waitMs, Infinity);
});

for (const enforce of ['bucket', 'sliding'] as const) {
  test(`reserved output that was not generated is returned, unless the provider keeps it (${enforce})`, () => {
    for (const [givesBack, remaining] of [
      [true, 600],
      [false, 200],
    ] as const) {
      const account = new LimitAccount({ tokensPerMinute: 1_000, enforce, givesBack });
      const held = account.take(0, call(300, 500));
      account.release(0, held, call(300, 100));
      assert.equal(account.level(0, 'tokensPerMinute')?.remaining, remaining);
    }
  });
}

test('a concurrency slot is free again when its call ends, and the limit with the longest wait is reported', () => {
  const account = new LimitAccount({ concurrency: 1, requestsPerMinute: 1, requestsPerSecond: 1 });
  const held = account.take(0, call());
  assert.deepEqual(account.refusal(0, call()), { by: 'concurrency', waitMs: null });
  account.release(0, held, null);
  assert.deepEqual(account.refusal(0, call()), { by: 'requestsPerMinute', waitMs: MINUTE });
});
