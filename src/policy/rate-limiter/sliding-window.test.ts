import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { testResourceContract } from '../../core/resource.contract.ts';
import type { Need } from '../../core/resource.ts';
import { requestLimit, tokenLimit } from './measures.fixture.ts';
import { SlidingWindow } from './sliding-window.ts';
import { guardMs } from './token-bucket.ts';

const MINUTE = 60_000;
const ONE: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };
const tokens = (count: number): Need => ({ requests: 1, inputTokens: count, outputTokens: 0 });

testResourceContract('a sliding window of requests', () => new SlidingWindow(requestLimit(20, MINUTE)));
testResourceContract('a sliding window of tokens', () => new SlidingWindow(tokenLimit(5000, MINUTE)));

test('the whole limit may start at once, the next request a window after the first', () => {
  const window = new SlidingWindow(requestLimit(3, MINUTE));
  for (const at of [0, 10, 20]) window.reserve(at, ONE);
  assert.equal(window.earliest(30, ONE), MINUTE + guardMs(MINUTE));
  assert.equal(window.earliest(30, { ...ONE, requests: 2 }), MINUTE + guardMs(MINUTE) + 10);
});

test('usage that is settled later counts from the start of its call', () => {
  const window = new SlidingWindow(tokenLimit(1000, MINUTE));
  const ticket = window.reserve(0, tokens(100));
  window.settle(50_000, ticket, tokens(100), { usage: { inputTokens: 900, cachedInputTokens: 0, outputTokens: 0 }, health: 'success' });
  assert.equal(window.available(50_000), 100);
  assert.equal(window.earliest(50_000, tokens(200)), MINUTE + guardMs(MINUTE));
  assert.equal(window.available(MINUTE + guardMs(MINUTE)), 1000);
});

test('a settlement after its start has left the window changes nothing', () => {
  const window = new SlidingWindow(tokenLimit(1000, MINUTE));
  const ticket = window.reserve(0, tokens(100));
  window.reserve(2 * MINUTE, tokens(300));
  window.settle(2 * MINUTE, ticket, tokens(100), { usage: { inputTokens: 900, cachedInputTokens: 0, outputTokens: 0 }, health: 'success' });
  window.cancel(2 * MINUTE, ticket);
  assert.equal(window.available(2 * MINUTE), 700);
});

test('a level survives a restart; earlier permits then change nothing', () => {
  const window = new SlidingWindow(requestLimit(3, MINUTE));
  const ticket = window.reserve(0, ONE);
  window.reserve(20_000, ONE);
  const saved = window.save(30_000, 1_000_000);
  assert.deepEqual(
    saved.starts.map((s) => s.epochMs),
    [970_000, 990_000],
  );
  window.restore(30_000, 1_000_000, saved);
  window.cancel(30_000, ticket);
  assert.equal(window.available(30_000), 1);
  assert.equal(window.available(MINUTE + guardMs(MINUTE)), 2);
});

test('a request above the limit can never start', () => {
  assert.equal(new SlidingWindow(tokenLimit(1000, MINUTE)).earliest(0, tokens(1001)), Infinity);
});

test('property: no window exceeds the limit, neither of starts nor of delayed arrivals', () => {
  const step = fc.record({
    pauseMs: fc.integer({ min: 0, max: 3000 }),
    travel: fc.double({ min: 0, max: 1, noNaN: true }),
    amount: fc.integer({ min: 1, max: 20 }),
    cancelled: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 20, max: 200 }),
      fc.constantFrom(1000, 5000, MINUTE),
      fc.array(step, { minLength: 10, maxLength: 200 }),
      (limit, windowMs, steps) => {
        const window = new SlidingWindow(tokenLimit(limit, windowMs));
        const arrivals: { at: number; amount: number }[] = [];
        let now = 0;
        for (const { pauseMs, travel, amount, cancelled } of steps) {
          now = Math.max(now + pauseMs, window.earliest(now + pauseMs, tokens(amount)));
          const ticket = window.reserve(now, tokens(amount));
          if (cancelled) window.cancel(now, ticket);
          else arrivals.push({ at: now + travel * guardMs(windowMs), amount });
        }
        arrivals.sort((a, b) => a.at - b.at);
        for (let i = 0, oldest = 0, sum = 0; i < arrivals.length; i++) {
          sum += arrivals[i]!.amount;
          while (arrivals[oldest]!.at <= arrivals[i]!.at - windowMs + 1e-3) sum -= arrivals[oldest++]!.amount;
          assert.ok(sum <= limit);
        }
      },
    ),
  );
});

test('a request that is sent late counts from then on', () => {
  const window = new SlidingWindow(requestLimit(1, MINUTE));
  const late = window.reserve(0, ONE);
  const ticket = window.onSent(400, late, ONE);
  assert.equal(window.earliest(500, ONE), 400 + MINUTE + guardMs(MINUTE));
  window.cancel(500, ticket);
  assert.equal(window.earliest(500, ONE), 500);
});

test('a request that is sent after its window is over is counted again', () => {
  const window = new SlidingWindow(requestLimit(1, MINUTE));
  window.onSent(2 * MINUTE, window.reserve(0, ONE), ONE);
  assert.equal(window.available(2 * MINUTE), 0);
});
