import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CONTRACT_NEED as NEED, testResourceContract } from '../../core/resource.contract.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Settlement } from '../../core/resource.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import type { BreakerOptions } from './circuit-breaker.ts';

const OPTIONS: BreakerOptions = {
  windowMs: 30_000,
  failureRatio: 0.5,
  minRequests: 10,
  consecutiveFailures: 5,
  openForMs: 5000,
  maxOpenForMs: 60_000,
  probes: 1,
};
const NO_JITTER = { next: () => 0 };

type Health = Settlement['health'];

function makeBreaker(options: Partial<BreakerOptions> = {}, random = NO_JITTER): CircuitBreaker {
  return new CircuitBreaker('p/m:breaker', { ...OPTIONS, ...options }, random);
}

function attempt(breaker: CircuitBreaker, now: number, health: Health): void {
  breaker.settle(now, breaker.reserve(now, NEED), NEED, { usage: null, health });
}

function attempts(breaker: CircuitBreaker, now: number, health: Health, count: number): void {
  for (let i = 0; i < count; i++) attempt(breaker, now, health);
}

function opened(options: Partial<BreakerOptions> = {}, random = NO_JITTER): CircuitBreaker {
  const breaker = makeBreaker(options, random);
  attempts(breaker, 0, 'failure', 5);
  assert.equal(breaker.state, 'open');
  return breaker;
}

/** Opened 5 s before `now`, and closed by a probe at `now`. */
function recovered(options: Partial<BreakerOptions> = {}, now = 5000): CircuitBreaker {
  const breaker = makeBreaker(options);
  attempts(breaker, now - 5000, 'failure', 5);
  attempt(breaker, now, 'success');
  assert.equal(breaker.state, 'closed');
  return breaker;
}

/** How many it lets through at once. */
function startAll(breaker: CircuitBreaker, now: number): number[] {
  const tickets: number[] = [];
  while (tickets.length < 1000 && breaker.earliest(now) === now) tickets.push(breaker.reserve(now, NEED));
  return tickets;
}

testResourceContract('a closed breaker', () => makeBreaker());
testResourceContract('a breaker that ramps', (now) => recovered({}, now));
testResourceContract('an open breaker', (now) => {
  const breaker = makeBreaker({ probes: 2 });
  attempts(breaker, now, 'failure', 5);
  return breaker;
});

test('opens after so many failures in a row', () => {
  const breaker = makeBreaker();
  attempts(breaker, 0, 'failure', 4);
  attempt(breaker, 0, 'success');
  attempts(breaker, 0, 'failure', 4);
  assert.equal(breaker.state, 'closed');
  attempt(breaker, 0, 'failure');
  assert.equal(breaker.state, 'open');
});

test('opens by ratio once enough was seen in the window', () => {
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

test('failures in a row that come by chance open nothing; more of them than chance brings do', () => {
  const breaker = makeBreaker();
  const random = createSeededRandom(1);
  for (let i = 0; i < 300; i++) {
    if (breaker.state === 'closed') attempt(breaker, i * 50, i % 10 < 3 ? 'failure' : 'success');
  }
  assert.equal(breaker.state, 'closed');
  attempt(breaker, 15_000, 'success');
  attempts(breaker, 15_000, 'failure', 5);
  assert.equal(breaker.state, 'closed', 'a target that fails three in ten does that every few hundred calls');
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

test('what lies further back than the window no longer counts', () => {
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

test('what says nothing about the target changes nothing: a hundred faults of callers', () => {
  const breaker = makeBreaker();
  attempts(breaker, 0, 'failure', 4);
  attempts(breaker, 0, 'neutral', 100);
  assert.equal(breaker.state, 'closed');
  attempt(breaker, 0, 'failure');
  assert.equal(breaker.state, 'open');
});

test('open, it holds back until its time, then lets a probe through and nobody else', () => {
  const breaker = opened();
  assert.equal(breaker.earliest(1000), 5000);
  assert.equal(breaker.openForMs(1000), 4000);
  assert.equal(breaker.earliest(5000), 5000);
  breaker.reserve(5000, NEED);
  assert.equal(breaker.state, 'half-open');
  assert.equal(breaker.earliest(5001), WHEN_SETTLED);
  assert.equal(breaker.openForMs(5001), null);
});

test('a probe that succeeds closes it with a clean record', () => {
  const breaker = recovered();
  assert.equal(breaker.state, 'closed');
  assert.equal(breaker.failureRatio(5000), 0);
});

test('closed by a probe, it lets two through, and more with every answer that begins or ends well', () => {
  const breaker = recovered();
  assert.equal(breaker.isRamping, true);
  let running = startAll(breaker, 5000);
  assert.equal(running.length, 2);
  assert.equal(breaker.earliest(5000), WHEN_SETTLED);
  assert.equal(breaker.prove(5100, running[0]!), true);
  assert.equal(startAll(breaker, 5100).length, 1);
  const sizes: number[] = [];
  for (let round = 0; round < 4; round++) {
    const again = recovered();
    for (let done = 0; done < round; done++) {
      running = startAll(again, 5000);
      for (const ticket of running) again.settle(5000, ticket, NEED, { usage: null, health: 'success' });
    }
    sizes.push(startAll(again, 5000).length);
  }
  assert.deepEqual(sizes, [2, 4, 8, 16]);
});

test('a ramp is over when enough was answered and there is room to spare', () => {
  const breaker = recovered();
  attempts(breaker, 5000, 'success', 9);
  assert.equal(breaker.isRamping, true);
  attempt(breaker, 5000, 'success');
  assert.equal(breaker.isRamping, false);
  assert.equal(startAll(breaker, 5000).length, 1000);
});

test('a ramp goes on as long as it holds somebody back, wave by wave or one by one', () => {
  for (const wave of [true, false]) {
    const breaker = recovered();
    const running = startAll(breaker, 5000);
    for (let done = 0; done < 200; done++) {
      breaker.settle(5000, running.shift()!, NEED, { usage: null, health: 'success' });
      assert.equal(breaker.isRamping, true, `after ${done}`);
      if (!wave || running.length === 0) running.push(...startAll(breaker, 5000));
    }
  }
});

test('failures narrow a ramp, and open it when they are half of all, for longer than the last time', () => {
  const breaker = recovered();
  attempts(breaker, 5000, 'success', 2);
  assert.equal(startAll(breaker, 5000).length, 4);
  const again = recovered();
  attempts(again, 5000, 'success', 2);
  attempts(again, 5000, 'failure', 2);
  assert.equal(again.state, 'closed');
  assert.equal(startAll(again, 5000).length, 2);
  const opening = recovered();
  attempts(opening, 5000, 'success', 2);
  attempts(opening, 5000, 'failure', 3);
  assert.equal(opening.state, 'open');
  assert.equal(opening.openForMs(5000), 10_000);
});

test('a ramp under which everything breaks down sees no more than was let through', () => {
  const breaker = recovered();
  for (let round = 0; round < 4; round++)
    for (const ticket of startAll(breaker, 5000)) breaker.settle(5000, ticket, NEED, { usage: null, health: 'success' });
  const running = startAll(breaker, 5000);
  assert.ok(running.length >= 30);
  for (const ticket of running) {
    breaker.settle(5001, ticket, NEED, { usage: null, health: 'failure' });
    if (breaker.state === 'closed' && ticket !== running.at(-1)) assert.equal(startAll(breaker, 5001).length, 0);
  }
  assert.equal(breaker.state, 'open');
});

test('a ramp comes to its end although three in ten fail, most times', () => {
  let ended = 0;
  const random = createSeededRandom(3);
  for (let run = 0; run < 100; run++) {
    const breaker = recovered();
    for (let i = 0; i < 400 && breaker.isRamping; i++) attempt(breaker, 5000, random.next() < 0.3 ? 'failure' : 'success');
    if (breaker.state === 'closed' && !breaker.isRamping) ended++;
  }
  assert.ok(ended >= 70, `${ended} of 100`);
});

test('what says nothing about the target neither widens nor narrows a ramp', () => {
  const breaker = recovered();
  attempts(breaker, 5000, 'neutral', 20);
  assert.equal(startAll(breaker, 5000).length, 2);
});

test('every failed probe doubles the open time up to its maximum, the end of a ramp starts over', () => {
  const breaker = opened({ maxOpenForMs: 18_000 });
  let now = 0;
  for (const expected of [5000, 10_000, 18_000, 18_000]) {
    assert.equal(breaker.openForMs(now), expected);
    now += expected;
    attempt(breaker, now, 'failure');
  }
  attempts(breaker, now + 18_000, 'success', 11);
  attempts(breaker, now + 18_000, 'failure', 5);
  assert.equal(breaker.openForMs(now + 18_000), 5000);
});

test('a target that is missed is asked again after 25 seconds, however long its open time has grown', () => {
  const breaker = opened({ maxOpenForMs: 300_000 });
  let now = 0;
  for (let probes = 0; probes < 5; probes++) {
    now += breaker.openForMs(now)!;
    attempt(breaker, now, 'failure');
  }
  assert.equal(breaker.openForMs(now), 160_000);
  for (let i = 0; i < 19; i++) assert.equal(breaker.miss(), false);
  assert.equal(breaker.openForMs(now), 160_000, 'a few go without it: a probe would cost them more');
  assert.equal(breaker.miss(), true);
  assert.equal(breaker.openForMs(now), 25_000);
  assert.equal(breaker.miss(), false, 'that is no news any more');
  attempt(breaker, now + 25_000, 'failure');
  assert.equal(breaker.openForMs(now + 25_000), 25_000, 'it will be missed again');
  attempt(breaker, now + 50_000, 'failure');
  assert.equal(breaker.openForMs(now + 50_000), 300_000, 'nobody has missed it meanwhile');
});

test('missing it makes no open time longer, and no pause that was asked for shorter', () => {
  const short = opened();
  for (let i = 0; i < 20; i++) assert.equal(short.miss(), false);
  assert.equal(short.openForMs(0), 5000);
  const long = opened({ openForMs: 60_000 });
  for (let i = 0; i < 20; i++) long.miss();
  assert.equal(long.openForMs(0), 60_000);
  const asked = opened({ maxOpenForMs: 300_000 });
  asked.extend(200_000);
  for (let i = 0; i < 20; i++) asked.miss();
  assert.equal(asked.openForMs(0), 200_000);
});

test('open times are spread upwards by at most a fifth', () => {
  assert.equal(opened({}, { next: () => 0.5 }).openForMs(0), 5500);
  assert.ok(opened({}, { next: () => 0.999 }).openForMs(0)! < 6000);
});

test('a longer pause asked for extends it, a shorter one changes nothing', () => {
  const breaker = opened();
  breaker.extend(3000);
  assert.equal(breaker.openForMs(0), 5000);
  breaker.extend(30_000);
  assert.equal(breaker.openForMs(0), 30_000);
  const closed = makeBreaker();
  closed.extend(30_000);
  assert.equal(closed.earliest(0), 0);
});

test('a probe comes back on every path: cancelled, nothing learned, failed, succeeded', () => {
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

test('results of an earlier state are ignored', () => {
  const breaker = makeBreaker();
  const late = [breaker.reserve(0, NEED), breaker.reserve(0, NEED), breaker.reserve(0, NEED)];
  attempts(breaker, 0, 'failure', 5);
  breaker.settle(1000, late[0]!, NEED, { usage: null, health: 'success' });
  assert.equal(breaker.state, 'open');
  breaker.reserve(5000, NEED);
  breaker.settle(5001, late[1]!, NEED, { usage: null, health: 'success' });
  breaker.cancel(5001, late[2]!);
  assert.equal(breaker.state, 'half-open');
  assert.equal(breaker.earliest(5001), WHEN_SETTLED, 'the probe still runs');
});

test('of several probes the first verdict decides, the others no longer count', () => {
  const breaker = opened({ probes: 3 });
  const probes = [1, 2, 3].map(() => breaker.reserve(5000, NEED));
  assert.equal(breaker.earliest(5000), WHEN_SETTLED);
  breaker.settle(5001, probes[0]!, NEED, { usage: null, health: 'failure' });
  breaker.settle(5002, probes[1]!, NEED, { usage: null, health: 'success' });
  assert.equal(breaker.state, 'open');
  assert.equal(breaker.openForMs(5001), 10_000);
});

test('isolated by hand it stays so until it is reset', () => {
  const breaker = makeBreaker();
  const running = breaker.reserve(0, NEED);
  breaker.isolate();
  breaker.settle(1, running, NEED, { usage: null, health: 'success' });
  assert.equal(breaker.earliest(1e9), Infinity);
  breaker.reset();
  assert.equal(breaker.state, 'closed');
  assert.equal(breaker.earliest(1e9), 1e9);
});

test('open and isolated survive a restart; a probe that was under way is due again', () => {
  const breaker = opened();
  const record = breaker.save(1000, 500_000)!;
  assert.deepEqual(record, { state: 'open', openUntilEpochMs: 504_000, missedUntilEpochMs: 504_000, openings: 1 });
  const again = makeBreaker();
  again.restore(70, 502_000, record);
  assert.equal(again.openForMs(70), 2000);
  attempt(again, 2070, 'failure');
  assert.equal(again.openForMs(2070), 10_000, 'the open time goes on growing');
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

test('property: never more than `probes` at once while half-open, none sent while open, and no probe is ever lost', () => {
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
