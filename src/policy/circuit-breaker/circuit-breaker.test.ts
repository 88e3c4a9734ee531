import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CONTRACT_NEED as NEED, testResourceContract } from '../../core/resource.contract.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { attempt, attempts, makeBreaker, opened, recovered } from './circuit-breaker.fixture.ts';
import type { Health } from './circuit-breaker.fixture.ts';

testResourceContract('a closed breaker', () => makeBreaker());
testResourceContract('an open breaker', (now) => {
  const breaker = makeBreaker({ probes: 2 });
  attempts(breaker, now, 'failure', 5);
  return breaker;
});

test('opens after this many consecutive failures', () => {
  const breaker = makeBreaker();
  attempts(breaker, 0, 'failure', 4);
  attempt(breaker, 0, 'success');
  attempts(breaker, 0, 'failure', 4);
  assert.equal(breaker.state, 'closed');
  attempt(breaker, 0, 'failure');
  assert.equal(breaker.state, 'open');
});

test('opens by ratio once the window has enough outcomes', () => {
  const breaker = makeBreaker();
  for (let i = 0; i < 4; i++) {
    attempt(breaker, i, 'success');
    attempt(breaker, i, 'failure');
  }
  attempt(breaker, 5, 'success');
  assert.equal(breaker.state, 'closed');
  attempt(breaker, 6, 'failure');
  assert.equal(breaker.state, 'open');
});

test('a run of failures that occurs by chance does not open it; a longer one does', () => {
  const breaker = makeBreaker();
  const random = createSeededRandom(1);
  for (let i = 0; i < 300; i++) {
    if (breaker.state === 'closed') attempt(breaker, i * 50, i % 10 < 3 ? 'failure' : 'success');
  }
  assert.equal(breaker.state, 'closed');
  attempt(breaker, 15_000, 'success');
  attempts(breaker, 15_000, 'failure', 5);
  assert.equal(breaker.state, 'closed', 'at a failure ratio of 30 % that happens every few hundred calls');
  attempts(breaker, 15_000, 'failure', 5);
  assert.equal(breaker.state, 'open');
  const busy = makeBreaker();
  let opened = 0;
  for (let i = 0; i < 5000; i++) {
    attempt(busy, i * 50, random.next() < 0.3 ? 'failure' : 'success');
    if (busy.state === 'open') {
      opened++;
      busy.reset();
    }
  }
  assert.ok(opened <= 5, `${opened} times in 5,000 calls`);
});

test('failures that overtake the successes of one burst do not open it; more than the burst explains do', () => {
  const breaker = makeBreaker();
  for (let i = 0; i < 400; i++) attempt(breaker, i * 10, i % 40 === 0 ? 'failure' : 'success');
  attempt(breaker, 4_000, 'success');
  const burst = Array.from({ length: 200 }, () => breaker.reserve(5_000, NEED));
  for (const ticket of burst.slice(0, 7)) breaker.settle(5_001, ticket, NEED, { usage: null, health: 'failure' });
  assert.equal(breaker.state, 'closed', 'about five of 200 fail at 2.5 %');
  for (const ticket of burst.slice(7)) breaker.settle(5_100, ticket, NEED, { usage: null, health: 'success' });
  const outage = Array.from({ length: 200 }, () => breaker.reserve(6_000, NEED));
  const last = outage.findIndex((ticket) => {
    breaker.settle(6_001, ticket, NEED, { usage: null, health: 'failure' });
    return breaker.state !== 'closed';
  });
  assert.ok(last >= 5 && last < 16, `open after ${last + 1} failures in a row`);
});

test('outcomes older than the window do not count', () => {
  const breaker = makeBreaker({ consecutiveFailures: 100 });
  attempts(breaker, 0, 'failure', 9);
  attempts(breaker, 31_000, 'success', 8);
  attempts(breaker, 31_000, 'failure', 2);
  assert.equal(breaker.state, 'closed');
  assert.equal(breaker.failureRatio(31_000), 0.2);
});

test('one failure in fifty never opens it', () => {
  const breaker = makeBreaker();
  for (let i = 0; i < 1000; i++) attempt(breaker, i * 100, i % 50 === 0 ? 'failure' : 'success');
  assert.equal(breaker.state, 'closed');
});

test('neutral outcomes change nothing: a hundred errors of callers', () => {
  const breaker = makeBreaker();
  attempts(breaker, 0, 'failure', 4);
  attempts(breaker, 0, 'neutral', 100);
  assert.equal(breaker.state, 'closed');
  attempt(breaker, 0, 'failure');
  assert.equal(breaker.state, 'open');
});

test('while open it blocks until its time, then admits one probe at a time', () => {
  const breaker = opened();
  assert.equal(breaker.earliest(1000), 5000);
  assert.equal(breaker.openForMs(1000), 4000);
  assert.equal(breaker.earliest(5000), 5000);
  breaker.reserve(5000, NEED);
  assert.equal(breaker.state, 'half-open');
  assert.equal(breaker.earliest(5001), WHEN_SETTLED);
  assert.equal(breaker.openForMs(5001), null);
});

test('a successful probe closes it and clears its history', () => {
  const breaker = recovered();
  assert.equal(breaker.state, 'closed');
  assert.equal(breaker.failureRatio(5000), 0);
});

test('open times are lengthened by at most a fifth', () => {
  assert.equal(opened({}, { next: () => 0.5 }).openForMs(0), 5500);
  assert.ok(opened({}, { next: () => 0.999 }).openForMs(0)! < 6000);
});

test('a longer pause that the target asks for extends the open time, a shorter one changes nothing', () => {
  const breaker = opened();
  breaker.extend(3000);
  assert.equal(breaker.openForMs(0), 5000);
  breaker.extend(30_000);
  assert.equal(breaker.openForMs(0), 30_000);
  const closed = makeBreaker();
  closed.extend(30_000);
  assert.equal(closed.earliest(0), 0);
});

test('a probe is returned on every path: cancelled, neutral, failed, succeeded', () => {
  const breaker = opened();
  breaker.cancel(5000, breaker.reserve(5000, NEED));
  assert.equal(breaker.earliest(5000), 5000);
  attempt(breaker, 5000, 'neutral');
  assert.equal(breaker.earliest(5000), 5000);
  attempt(breaker, 5000, 'failure');
  assert.equal(breaker.earliest(15_000), 15_000);
  attempt(breaker, 15_000, 'success');
  assert.equal(breaker.earliest(15_000), 15_000);
});

test('outcomes from an earlier state are ignored', () => {
  const breaker = makeBreaker();
  const late = [breaker.reserve(0, NEED), breaker.reserve(0, NEED), breaker.reserve(0, NEED)];
  attempts(breaker, 0, 'failure', 5);
  breaker.settle(1000, late[0]!, NEED, { usage: null, health: 'success' });
  assert.equal(breaker.state, 'open');
  breaker.reserve(5000, NEED);
  breaker.settle(5001, late[1]!, NEED, { usage: null, health: 'success' });
  breaker.cancel(5001, late[2]!);
  assert.equal(breaker.state, 'half-open');
  assert.equal(breaker.earliest(5001), WHEN_SETTLED, 'the probe is still running');
});

test('of several probes the first outcome decides, the others do not count', () => {
  const breaker = opened({ probes: 3 });
  const probes = [1, 2, 3].map(() => breaker.reserve(5000, NEED));
  assert.equal(breaker.earliest(5000), WHEN_SETTLED);
  breaker.settle(5001, probes[0]!, NEED, { usage: null, health: 'failure' });
  breaker.settle(5002, probes[1]!, NEED, { usage: null, health: 'success' });
  assert.equal(breaker.state, 'open');
  assert.equal(breaker.openForMs(5001), 10_000);
});

test('isolated by hand, it stays open until it is reset', () => {
  const breaker = makeBreaker();
  const running = breaker.reserve(0, NEED);
  breaker.isolate();
  breaker.settle(1, running, NEED, { usage: null, health: 'success' });
  assert.equal(breaker.earliest(1e9), Infinity);
  breaker.reset();
  assert.equal(breaker.state, 'closed');
  assert.equal(breaker.earliest(1e9), 1e9);
});

test('open and isolated survive a restart; a running probe is due again', () => {
  const breaker = opened();
  const record = breaker.save(1000, 500_000)!;
  assert.deepEqual(record, { state: 'open', openUntilEpochMs: 504_000, missedUntilEpochMs: 504_000, openings: 1 });
  const again = makeBreaker();
  again.restore(70, 502_000, record);
  assert.equal(again.openForMs(70), 2000);
  attempt(again, 2070, 'failure');
  assert.equal(again.openForMs(2070), 10_000, 'the open time keeps growing');
  breaker.isolate();
  again.restore(80, 503_000, breaker.save(1000, 500_000)!);
  assert.equal(again.state, 'isolated');
  assert.equal(makeBreaker().save(0, 0), null);
  const probed = opened();
  probed.reserve(5000, NEED);
  again.restore(90, 600_000, probed.save(6000, 600_000)!);
  assert.equal(again.openForMs(90), 0);
});

const step = fc.oneof(
  fc.record({ kind: fc.constant('start' as const) }),
  fc.record({ kind: fc.constant('end' as const), index: fc.nat(20), health: fc.constantFrom<Health>('success', 'failure', 'neutral') }),
  fc.record({ kind: fc.constant('cancel' as const), index: fc.nat(20) }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
  fc.record({ kind: fc.constant('extend' as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
);

test('property: never more than `probes` at once while half-open, none while open, and no probe is lost', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 200 }), (probes, steps) => {
      const breaker = makeBreaker({ probes, consecutiveFailures: 2 });
      const running: { ticket: number; probe: boolean }[] = [];
      let now = 0;
      for (const action of steps) {
        if (action.kind === 'pass') now += action.ms;
        if (action.kind === 'extend') breaker.extend(now + action.ms);
        if (action.kind === 'start') {
          const at = breaker.earliest(now);
          if (at === WHEN_SETTLED || at > now) continue;
          const ticket = breaker.reserve(now, NEED);
          assert.notEqual(breaker.state, 'open');
          running.push({ ticket, probe: breaker.state === 'half-open' });
        }
        if (action.kind === 'end' || action.kind === 'cancel') {
          const [ended] = running.splice(action.index % Math.max(1, running.length), 1);
          if (ended === undefined) continue;
          if (action.kind === 'cancel') breaker.cancel(now, ended.ticket);
          else breaker.settle(now, ended.ticket, NEED, { usage: null, health: action.health });
        }
        if (breaker.state !== 'half-open') for (const attempted of running) attempted.probe = false;
        const probing = running.filter((attempted) => attempted.probe).length;
        assert.ok(probing <= probes);
        if (breaker.state === 'half-open') assert.equal(breaker.earliest(now), probing < probes ? now : WHEN_SETTLED);
      }
    }),
    { numRuns: 500 },
  );
});
