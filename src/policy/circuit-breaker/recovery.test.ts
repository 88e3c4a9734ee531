/** How a breaker comes back: who is asked again when, and how it is loaded then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONTRACT_NEED as NEED, testResourceContract } from '../../core/resource.contract.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { attempt, attempts, opened, recovered, startAll } from './circuit-breaker.fixture.ts';

testResourceContract('a breaker that ramps', (now) => recovered({}, now));

test('closed by a probe, it lets two through, and more with every answer that begins or ends well', () => {
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
