import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CONTRACT_NEED, testResourceContract } from '../../core/resource.contract.ts';
import type { Need, Settlement } from '../../core/resource.ts';
import { requestLimit, tokenLimit } from './measures.fixture.ts';
import { SlidingWindow } from './sliding-window.ts';
import { guardMs, TokenBucket } from './token-bucket.ts';

const MINUTE = 60_000;
const ONE: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };
const tokens = (input: number, output = 0): Need => ({ requests: 1, inputTokens: input, outputTokens: output });
const used = (input: number, output: number, cached = 0): Settlement => ({
  usage: { inputTokens: input, cachedInputTokens: cached, outputTokens: output },
  health: 'success',
});

testResourceContract('a request bucket', (now) => new TokenBucket(requestLimit(60, MINUTE), now));
testResourceContract('a token bucket with a small burst', (now) => new TokenBucket(tokenLimit(10_000, MINUTE, 0.05), now));
testResourceContract('a bucket for a day', (now) => new TokenBucket(requestLimit(5, 1440 * MINUTE), now));

test('the whole limit may start at once, the next request when one is refilled and the provider has counted it', () => {
  const bucket = new TokenBucket(requestLimit(60, MINUTE), 0);
  for (let i = 0; i < 60; i++) {
    assert.equal(bucket.earliest(0, ONE), 0);
    bucket.reserve(0, ONE);
  }
  assert.equal(bucket.earliest(0, ONE), 1000 + guardMs(MINUTE));
});

test('a burst below one bounds what starts at once, but one request always may', () => {
  const tenth = new TokenBucket(requestLimit(60, MINUTE, 0.1), 0);
  for (let i = 0; i < 6; i++) tenth.reserve(0, ONE);
  assert.ok(tenth.earliest(0, ONE) > 0);
  const tiny = new TokenBucket(requestLimit(60, MINUTE, 0.001), 0);
  assert.equal(tiny.earliest(0, ONE), 0);
});

test('a request above the burst but within the limit starts on a full bucket and takes it below zero', () => {
  const bucket = new TokenBucket(tokenLimit(6000, MINUTE, 0.5), 0);
  assert.equal(bucket.earliest(0, tokens(5000)), 0);
  bucket.reserve(0, tokens(5000));
  assert.equal(bucket.available(0), -2000);
  const next = bucket.earliest(0, tokens(100));
  assert.ok(Math.abs(next - (21_000 + guardMs(MINUTE))) < 20, `${next}`);
});

test('a request above the limit can never start', () => {
  assert.equal(new TokenBucket(tokenLimit(6000, MINUTE), 0).earliest(0, tokens(6001)), Infinity);
});

test('a refund is lost where the bucket would have been full meanwhile', () => {
  const bucket = new TokenBucket(tokenLimit(6000, MINUTE), 0);
  const ticket = bucket.reserve(0, tokens(0, 3000));
  // After 20 s 2,000 of the 3,000 are refilled. A provider that counted 500 has long been full.
  bucket.reserve(20_000 + guardMs(MINUTE), tokens(6000));
  bucket.settle(30_000, ticket, tokens(0, 3000), used(0, 500));
  // The provider's bucket was full when it was emptied: it contains the refill of 10 s, and so does this one.
  const has = bucket.available(30_000);
  assert.ok(has <= 1000 && has > 950, `${has}`);
});

test('whatever is reserved and settled, a provider that counted the real usage from the start has at least as much left', () => {
  const step = fc.record({
    gapMs: fc.nat(9_000),
    reserved: fc.nat(3_000),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    lastsMs: fc.nat(20_000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(1, 0.3), (steps, burst) => {
      const bucket = new TokenBucket(tokenLimit(6000, MINUTE, burst), 0);
      const events: { at: number; run: () => void }[] = [];
      let [level, at, start] = [6000 * burst, 0, 0];
      const pass = (now: number): void => {
        level = Math.min(6000 * burst, level + ((now - at) * 6000) / MINUTE);
        at = now;
      };
      for (const { gapMs, reserved, share, lastsMs } of steps) {
        start += gapMs;
        const need = tokens(0, reserved);
        const real = Math.floor(reserved * share);
        let ticket: number | null = null;
        const begin = start;
        events.push({
          at: begin,
          run: () => {
            if (bucket.earliest(begin, need) > begin) return;
            ticket = bucket.reserve(begin, need);
            level -= real;
          },
        });
        events.push({ at: begin + lastsMs, run: () => ticket !== null && bucket.settle(begin + lastsMs, ticket, need, used(0, real)) });
      }
      events.sort((a, b) => a.at - b.at);
      for (const event of events) {
        pass(event.at);
        event.run();
        assert.ok(bucket.available(event.at) <= level + 1e-6, `${bucket.available(event.at)} of ${level} at ${event.at}`);
      }
    }),
    { numRuns: 500 },
  );
});

test('settling returns the excess of the reservation, and takes excess usage', () => {
  const bucket = new TokenBucket(tokenLimit(6000, MINUTE), 0);
  const less = bucket.reserve(0, tokens(1000, 2000));
  bucket.settle(0, less, tokens(1000, 2000), used(1000, 500, 400));
  assert.equal(bucket.available(0), 6000 - 1100);
  const more = bucket.reserve(0, tokens(1000));
  bucket.settle(0, more, tokens(1000), used(2000, 3500));
  assert.equal(bucket.available(0), 6000 - 1100 - 5500);
});

test('an absurd usage blocks the limit for at most ten windows', () => {
  for (const limiter of [new TokenBucket(tokenLimit(6000, MINUTE), 0), new SlidingWindow(tokenLimit(6000, MINUTE))]) {
    const ticket = limiter.reserve(0, tokens(1000));
    limiter.settle(0, ticket, tokens(1000), used(9_000_000, 0));
    assert.ok(limiter.available(0) >= -60_000, limiter.constructor.name);
    assert.ok(limiter.available(0) < -50_000);
    assert.ok(limiter.earliest(0, tokens(1)) <= 11 * MINUTE);
  }
});

test('refunds never raise the bucket above its burst', () => {
  const bucket = new TokenBucket(tokenLimit(6000, MINUTE), 0);
  const ticket = bucket.reserve(0, tokens(5000));
  bucket.settle(2 * MINUTE, ticket, tokens(5000), used(0, 0));
  assert.equal(bucket.available(2 * MINUTE), 6000);
  bucket.reserve(2 * MINUTE, tokens(6000));
  assert.equal(bucket.available(2 * MINUTE), 0);
});

test('a level survives a restart, including the refill meanwhile', () => {
  const bucket = new TokenBucket(requestLimit(60, MINUTE), 0);
  for (let i = 0; i < 60; i++) bucket.reserve(0, ONE);
  const saved = bucket.save(0, 1_000_000);
  const again = new TokenBucket(requestLimit(60, MINUTE), 77);
  again.restore(77, 1_010_000, saved);
  assert.ok(Math.abs(again.available(77) - 10) < 1e-6);
  again.restore(77, 900_000, saved);
  assert.equal(Math.abs(again.available(77)), 0, 'a clock that was set back refills nothing');
});

/** The bucket of a provider: continuous refill, counts on arrival, refuses nothing but reports overdrafts. */
function worstOverdraft(arrivals: readonly { at: number; amount: number }[], capacity: number, ratePerMs: number): number {
  let level = capacity;
  let at = -Infinity;
  let worst = 0;
  for (const arrival of [...arrivals].sort((a, b) => a.at - b.at)) {
    level = Math.min(capacity, level + (at === -Infinity ? 0 : (arrival.at - at) * ratePerMs)) - arrival.amount;
    at = arrival.at;
    worst = Math.max(worst, -level);
  }
  return worst;
}

const bucketCase = fc.record({
  limit: fc.integer({ min: 2, max: 2000 }),
  windowMs: fc.constantFrom(1000, 10_000, MINUTE),
  burst: fc.constantFrom(0.05, 0.3, 1),
  // pauses between requests, and whether each travels slowly
  steps: fc.array(
    fc.record({
      pauseMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2000 })),
      travel: fc.double({ min: 0, max: 1, noNaN: true }),
      amount: fc.integer({ min: 1, max: 5 }),
    }),
    {
      minLength: 20,
      maxLength: 300,
    },
  ),
});

test('property: no interval has more starts than burst and refill, and no arrival exceeds the provider’s bucket, however delayed', () => {
  fc.assert(
    fc.property(bucketCase, ({ limit, windowMs, burst, steps }) => {
      const bucket = new TokenBucket(tokenLimit(limit, windowMs, burst), 0);
      const rate = limit / windowMs;
      const capacity = Math.max(limit * burst, 1);
      const starts: { at: number; amount: number; travel: number }[] = [];
      let now = 0;
      for (const { pauseMs, travel, amount } of steps) {
        const need = tokens(Math.min(amount, Math.floor(capacity)));
        now = Math.max(now + pauseMs, bucket.earliest(now + pauseMs, need));
        bucket.reserve(now, need);
        starts.push({ at: now, amount: need.inputTokens, travel });
      }
      const slack = 1e-3;
      assert.ok(worstOverdraft(starts, capacity, rate) <= slack, 'starts stay within burst and refill');
      const late = starts.map(({ at, amount, travel }) => ({ at: at + travel * guardMs(windowMs), amount }));
      assert.ok(worstOverdraft(late, capacity, rate) <= slack, 'arrivals stay within the provider’s bucket');
    }),
    { numRuns: 300 },
  );
});

test('what is held until it is sent counts from then on: meanwhile the bucket fills up to its capacity less that', () => {
  const bucket = new TokenBucket(requestLimit(60, MINUTE, 0.1), 0);
  const tickets = Array.from({ length: 6 }, () => bucket.onHeld(0, bucket.reserve(0, ONE), ONE));
  assert.equal(bucket.available(10_000), 0);
  assert.ok(bucket.earliest(10_000, ONE) > 10_000);
  bucket.cancel(10_000, tickets[0]!, ONE);
  assert.equal(bucket.available(10_000), 1);
  const sent = tickets.slice(1).map((ticket) => bucket.onSent(10_000, ticket, ONE));
  assert.equal(bucket.available(10_000), 1, 'the provider has the whole burst less five');
  assert.ok(Math.abs(bucket.available(12_000 + guardMs(MINUTE)) - 3) < 0.02);
  for (const ticket of sent) bucket.settle(12_000, ticket, ONE, { usage: null, health: 'neutral', unsent: true });
  assert.equal(bucket.available(12_000 + guardMs(MINUTE)), 6);
});

test('property: however long requests are held before they are sent, their arrivals stay within the provider’s bucket', () => {
  const held = fc.record({ pauseMs: fc.integer({ min: 0, max: 300 }), heldMs: fc.integer({ min: 0, max: 5_000 }) });
  fc.assert(
    fc.property(fc.array(held, { minLength: 20, maxLength: 200 }), fc.constantFrom(0.05, 0.3, 1), (steps, burst) => {
      const bucket = new TokenBucket(requestLimit(120, MINUTE, burst), 0);
      const waiting: { at: number; ticket: number }[] = [];
      const arrivals: { at: number; amount: number }[] = [];
      const sendUntil = (now: number): void => {
        waiting.sort((a, b) => a.at - b.at);
        while (waiting.length > 0 && waiting[0]!.at <= now) {
          const { at, ticket } = waiting.shift()!;
          bucket.onSent(at, ticket, ONE);
          arrivals.push({ at, amount: 1 });
        }
      };
      let now = 0;
      for (const { pauseMs, heldMs } of steps) {
        now += pauseMs;
        sendUntil(now);
        for (let at = bucket.earliest(now, ONE); at > now; at = bucket.earliest(now, ONE)) {
          now = at;
          sendUntil(now);
        }
        waiting.push({ at: now + heldMs, ticket: bucket.onHeld(now, bucket.reserve(now, ONE), ONE) });
      }
      sendUntil(Infinity);
      assert.ok(worstOverdraft(arrivals, 120 * burst, 120 / MINUTE) <= 1e-3);
    }),
    { numRuns: 200 },
  );
});

test('property: late counting costs no throughput: a busy bucket starts its whole rate', () => {
  fc.assert(
    fc.property(fc.integer({ min: 30, max: 3000 }), (limit) => {
      const bucket = new TokenBucket(requestLimit(limit, MINUTE), 0);
      let now = 0;
      let count = 0;
      for (; now <= 5 * MINUTE; now = Math.max(now, bucket.earliest(now, ONE))) {
        bucket.reserve(now, ONE);
        count++;
      }
      assert.ok(count >= 6 * limit - 1 - (limit / MINUTE) * 2 * guardMs(MINUTE), `${count} of ${6 * limit}`);
    }),
    { numRuns: 20 },
  );
});

test('property: whatever is reserved, settled and cancelled, the level matches the net amount, and never exceeds the burst', () => {
  const step = fc.record({
    pauseMs: fc.integer({ min: 0, max: 300 }),
    end: fc.constantFrom('cancel', 'settle', 'leave'),
    real: fc.integer({ min: 0, max: 300 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const bucket = new TokenBucket(tokenLimit(60_000, MINUTE), 0);
      let now = 0;
      let kept = 0;
      for (const { pauseMs, end, real } of steps) {
        now += pauseMs;
        const ticket = bucket.reserve(now, CONTRACT_NEED);
        kept += end === 'cancel' ? 0 : end === 'settle' ? real : 100;
        if (end === 'cancel') bucket.cancel(now, ticket, CONTRACT_NEED);
        if (end === 'settle') bucket.settle(now, ticket, CONTRACT_NEED, used(real, 0));
        assert.ok(bucket.available(now) <= 60_000 + 1e-6);
        assert.ok(bucket.available(now) >= 60_000 - kept - 1e-6);
      }
    }),
  );
});

test('a changed limit applies at once: what was taken stays taken, and unused amounts are returned to it', () => {
  const bucket = new TokenBucket(tokenLimit(6000, MINUTE), 0);
  const ticket = bucket.reserve(0, tokens(6000));
  assert.ok(bucket.earliest(1000, tokens(3000)) > 30_000);
  bucket.setLimit(1000, 60_000, 1);
  const sooner = bucket.earliest(1000, tokens(3000));
  assert.ok(sooner > 3000 && sooner < 4100, `${sooner}`);
  bucket.setLimit(1000, 600, 1);
  assert.equal(bucket.earliest(1000, tokens(3000)), Infinity);
  bucket.settle(1000, ticket, tokens(6000), used(0, 0));
  assert.ok(bucket.available(1000) <= 600, `${bucket.available(1000)}`);
});

test('requests that leave late count from then on', () => {
  const bucket = new TokenBucket(requestLimit(60, MINUTE), 0);
  const late = Array.from({ length: 60 }, () => bucket.reserve(0, ONE));
  const sent = late.map((ticket) => bucket.onSent(300, ticket, ONE));
  // The provider's bucket is full until they arrive.
  assert.ok(Math.abs(bucket.earliest(400, ONE) - (300 + 1000 + guardMs(MINUTE))) <= 10, `${bucket.earliest(400, ONE)}`);
  for (const ticket of sent) bucket.cancel(400, ticket, ONE);
  assert.equal(bucket.available(400), 60);
});

test('a provider counts no more than its limit of requests that leave late', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ gapMs: fc.nat(3000), lateMs: fc.nat(2000) }), { maxLength: 60 }), (requests) => {
      const bucket = new TokenBucket(requestLimit(10, MINUTE), 0);
      const waiting: { ticket: number; at: number }[] = [];
      const arrivals: { at: number; amount: number }[] = [];
      let now = 0;
      const sendUntil = (end: number): void => {
        for (const one of waiting.toSorted((a, b) => a.at - b.at)) {
          if (one.at > end) continue;
          waiting.splice(waiting.indexOf(one), 1);
          bucket.onSent(one.at, one.ticket, ONE);
          arrivals.push({ at: one.at, amount: 1 });
        }
      };
      for (const { gapMs, lateMs } of requests) {
        const next = now + gapMs;
        sendUntil(next);
        now = next;
        if (bucket.earliest(now, ONE) > now) continue;
        waiting.push({ ticket: bucket.reserve(now, ONE), at: now + lateMs });
      }
      sendUntil(Infinity);
      assert.ok(worstOverdraft(arrivals, 10, 10 / MINUTE) <= 1e-6);
    }),
  );
});
