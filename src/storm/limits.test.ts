import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createAccount } from './limits.ts';
import type { StormLimits } from './options.ts';

const MINUTE = 60_000;

/** Runs calls through an account, ending each at once; returns the instants and sizes of those admitted. */
function run(limits: StormLimits, calls: { gapMs: number; tokens: number }[]) {
  const account = createAccount(limits, MINUTE);
  const passed: { at: number; tokens: number }[] = [];
  let now = 0;
  for (const { gapMs, tokens } of calls) {
    now += gapMs;
    if (account.admit(now, tokens) === undefined) {
      account.release();
      passed.push({ at: now, tokens });
    }
  }
  return passed;
}

const calls = fc.array(fc.record({ gapMs: fc.integer({ min: 0, max: 20_000 }), tokens: fc.integer({ min: 0, max: 120 }) }), {
  maxLength: 200,
});

/** The most admitted in any half-open interval of `windowMs`. */
function most(passed: { at: number; tokens: number }[], windowMs: number, size: (call: { tokens: number }) => number): number {
  return Math.max(
    0,
    ...passed.map(({ at }) => passed.filter((call) => call.at >= at && call.at < at + windowMs).reduce((sum, call) => sum + size(call), 0)),
  );
}

test('a bucket starts full, refuses when empty and refills continuously', () => {
  const account = createAccount({ requestsPerMinute: 6 }, MINUTE);
  for (let call = 0; call < 6; call++) assert.equal(account.admit(0, 1), undefined);
  assert.deepEqual(account.admit(0, 1), { by: 'requests', limit: 6, used: 6, requested: 1, waitMs: 10_000 });
  assert.equal(account.admit(9_999, 1)?.by, 'requests');
  assert.equal(account.admit(10_000, 1), undefined);
  assert.deepEqual(account.requests(10_000), { limit: 6, remaining: 0, resetMs: 60_000 });
});

test('burst limits what can be spent at once', () => {
  const passed = run(
    { requestsPerMinute: 60, burst: 0.1 },
    Array.from({ length: 20 }, () => ({ gapMs: 0, tokens: 0 })),
  );
  assert.equal(passed.length, 6);
});

test('a call larger than the burst starts on a full bucket and leaves it negative', () => {
  const account = createAccount({ tokensPerMinute: 600, burst: 0.1 }, MINUTE);
  assert.equal(account.admit(0, 300), undefined);
  assert.equal(account.admit(0, 1)?.waitMs, 24_100);
  assert.equal(account.admit(24_100, 1), undefined);
});

test('a call larger than the limit never passes', () => {
  for (const enforce of ['bucket', 'sliding', 'perSecond'] as const) {
    assert.equal(createAccount({ tokensPerMinute: 100, enforce }, MINUTE).admit(0, 101)?.waitMs, Infinity);
  }
});

test('a refused call is charged to no limit, unless failures count', () => {
  const limits = { requestsPerMinute: 10, tokensPerMinute: 100 };
  const account = createAccount(limits, MINUTE);
  account.admit(0, 90);
  assert.equal(account.admit(0, 20)?.by, 'tokens');
  assert.equal(account.requests(0)?.remaining, 9);
  const strict = createAccount({ ...limits, countFailures: true }, MINUTE);
  strict.admit(0, 90);
  strict.admit(0, 20);
  assert.equal(strict.requests(0)?.remaining, 8);
});

test('if several limits are exceeded the one with the longest wait is reported', () => {
  const account = createAccount({ requestsPerMinute: 60, tokensPerMinute: 100, requestsPerDay: 1 }, MINUTE);
  account.admit(0, 100);
  assert.equal(account.admit(0, 10)?.by, 'day');
});

test('a sliding window frees what is older than a minute', () => {
  const account = createAccount({ requestsPerMinute: 2, enforce: 'sliding' }, MINUTE);
  account.admit(0, 0);
  account.admit(1_000, 0);
  assert.equal(account.admit(2_000, 0)?.waitMs, 58_000);
  assert.equal(account.admit(60_000, 0), undefined);
  assert.deepEqual(account.requests(60_000), { limit: 2, remaining: 0, resetMs: 60_000 });
});

test('with perSecond, a minute cannot be spent at once', () => {
  const account = createAccount({ requestsPerMinute: 120, enforce: 'perSecond' }, MINUTE);
  assert.deepEqual([account.admit(0, 0), account.admit(0, 0)], [undefined, undefined]);
  assert.equal(account.admit(0, 0)?.waitMs, 1_000);
});

test('input is limited at admission, output as it is generated', () => {
  const account = createAccount({ inputTokensPerMinute: 100, outputTokensPerMinute: 60 }, 60_000);
  assert.equal(account.admit(0, 5000, 100), undefined);
  assert.deepEqual([account.input(0)?.remaining, account.output(0)?.remaining], [0, 60]);
  assert.equal(account.admit(0, 1, 1)?.by, 'input');
  account.release(0, 90);
  const refused = account.admit(30_000, 1, 1);
  assert.deepEqual([refused?.by, refused?.waitMs], ['output', 1000]);
  assert.equal(account.admit(31_000, 1, 1), undefined);
});

test('concurrency counts running calls', () => {
  const account = createAccount({ concurrency: 1 }, MINUTE);
  account.admit(0, 0);
  assert.deepEqual(account.admit(0, 0), { by: 'concurrency', limit: 1, used: 1, requested: 1, waitMs: undefined });
  account.release();
  assert.equal(account.admit(0, 0), undefined);
});

test('no minute of a sliding window exceeds its limits', () => {
  fc.assert(
    fc.property(calls, (sent) => {
      const passed = run({ requestsPerMinute: 5, tokensPerMinute: 200, enforce: 'sliding' }, sent);
      assert.ok(most(passed, MINUTE, () => 1) <= 5);
      assert.ok(most(passed, MINUTE, ({ tokens }) => tokens) <= 200);
    }),
  );
});

test('a bucket never gives more than its capacity plus the refill', () => {
  fc.assert(
    fc.property(calls, fc.integer({ min: 1, max: 300_000 }), (sent, windowMs) => {
      const passed = run({ requestsPerMinute: 5, burst: 1 }, sent);
      assert.ok(most(passed, windowMs, () => 1) <= 5 + (5 * windowMs) / MINUTE + 1e-3);
    }),
  );
});

test('a call is admitted exactly after the stated wait, not a millisecond sooner', () => {
  const enforces = fc.constantFrom('bucket' as const, 'sliding' as const, 'perSecond' as const);
  fc.assert(
    fc.property(enforces, calls, (enforce, sent) => {
      const account = createAccount({ requestsPerMinute: 5, tokensPerMinute: 200, enforce }, MINUTE);
      let now = 0;
      for (const { gapMs, tokens } of sent) {
        now += gapMs;
        const refusal = account.admit(now, tokens);
        if (refusal === undefined) continue;
        assert.ok(refusal.waitMs !== undefined && refusal.waitMs > 0);
        if (refusal.waitMs > 1) assert.notEqual(account.admit(now + refusal.waitMs - 1, tokens), undefined);
        now += refusal.waitMs;
        assert.equal(account.admit(now, tokens), undefined);
      }
    }),
  );
});
