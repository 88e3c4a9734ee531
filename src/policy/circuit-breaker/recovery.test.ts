/** Recovery of a breaker: when it is probed, and how its load is ramped up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONTRACT_NEED as NEED, testResourceContract } from '../../core/resource.contract.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { attempt, attempts, opened, recovered, startAll } from './circuit-breaker.fixture.ts';

testResourceContract('a breaker that ramps', (now) => recovered({}, now));

test('closed by a probe, it admits two calls, and one more with every response that starts or succeeds', () => {
  const breaker = recovered();
  assert.equal(breaker.isRamping, true);
  let running = startAll(breaker, 5000);
  assert.equal(running.length, 2);
  assert.equal(breaker.earliest(5000), WHEN_SETTLED);
  assert.equal(breaker.onFirstContent(5100, running[0]!), true);
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

test('a ramp ends after enough successes below its limit', () => {
  const breaker = recovered();
  attempts(breaker, 5000, 'success', 9);
  assert.equal(breaker.isRamping, true);
  attempt(breaker, 5000, 'success');
  assert.equal(breaker.isRamping, false);
  assert.equal(startAll(breaker, 5000).length, 1000);
});

test('a ramp continues while its limit is reached, by bursts or by single calls', () => {
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

test('failures lower the limit of a ramp, and open the breaker when they are half of all, for longer than before', () => {
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

test('a target that fails completely during a ramp gets no more calls than were admitted', () => {
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

test('a ramp usually completes although 30 % of calls fail', () => {
  let ended = 0;
  const random = createSeededRandom(3);
  for (let run = 0; run < 100; run++) {
    const breaker = recovered();
    for (let i = 0; i < 400 && breaker.isRamping; i++) attempt(breaker, 5000, random.next() < 0.3 ? 'failure' : 'success');
    if (breaker.state === 'closed' && !breaker.isRamping) ended++;
  }
  assert.ok(ended >= 70, `${ended} of 100`);
});

test('neutral outcomes neither raise nor lower the limit of a ramp', () => {
  const breaker = recovered();
  attempts(breaker, 5000, 'neutral', 20);
  assert.equal(startAll(breaker, 5000).length, 2);
});

test('every failed probe doubles the open time up to its maximum; the end of a ramp resets it', () => {
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

test('a target with demand is probed after 25 seconds, however long its open time has grown', () => {
  const breaker = opened({ maxOpenForMs: 300_000 });
  let now = 0;
  for (let probes = 0; probes < 5; probes++) {
    now += breaker.openForMs(now)!;
    attempt(breaker, now, 'failure');
  }
  assert.equal(breaker.openForMs(now), 160_000);
  for (let i = 0; i < 19; i++) assert.equal(breaker.noteSkipped(), false);
  assert.equal(breaker.openForMs(now), 160_000, 'few requests skip it: a probe would cost more');
  assert.equal(breaker.noteSkipped(), true);
  assert.equal(breaker.openForMs(now), 25_000);
  assert.equal(breaker.noteSkipped(), false, 'the probe is not moved a second time');
  attempt(breaker, now + 25_000, 'failure');
  assert.equal(breaker.openForMs(now + 25_000), 25_000, 'demand is assumed to continue');
  attempt(breaker, now + 50_000, 'failure');
  assert.equal(breaker.openForMs(now + 50_000), 300_000, 'no request has skipped it meanwhile');
});

test('demand neither lengthens an open time nor shortens a requested pause', () => {
  const short = opened();
  for (let i = 0; i < 20; i++) assert.equal(short.noteSkipped(), false);
  assert.equal(short.openForMs(0), 5000);
  const long = opened({ openForMs: 60_000 });
  for (let i = 0; i < 20; i++) long.noteSkipped();
  assert.equal(long.openForMs(0), 60_000);
  const asked = opened({ maxOpenForMs: 300_000 });
  asked.extend(200_000);
  for (let i = 0; i < 20; i++) asked.noteSkipped();
  assert.equal(asked.openForMs(0), 200_000);
});
