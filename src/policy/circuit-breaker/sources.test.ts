/** Which source is blocked for which failures: those of one client or request are its own while others are served. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CONTRACT_NEED, testResourceContract } from '../../core/resource.contract.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need } from '../../core/resource.ts';
import { makeBreaker } from './circuit-breaker.fixture.ts';
import type { Health } from './circuit-breaker.fixture.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';

const of = (client: string, request: number): Need => ({ ...CONTRACT_NEED, source: { client, request } });
const GOOD = of('good', 1);
const POISON = of('poison', 2);
const [P1, P2] = [of('p1', 51), of('p2', 52)];

function ends(breaker: CircuitBreaker, now: number, need: Need, health: Health, count = 1): void {
  for (let i = 0; i < count; i++) breaker.settle(now, breaker.reserve(now, need), need, { usage: null, health });
}

/** A client whose distinct requests fail while another client is served: only the first one is blocked. */
function held(now = 0): CircuitBreaker {
  const breaker = makeBreaker();
  ends(breaker, now, GOOD, 'success');
  for (let i = 0; i < 5; i++) ends(breaker, now, of('poison', 10 + i), 'failure');
  return breaker;
}

testResourceContract('a breaker that holds a client', (now) => held(now));

test('five consecutive failures of one client block that client, where another one is served', () => {
  const breaker = held();
  assert.equal(breaker.state, 'closed');
  assert.equal(breaker.earliest(0, POISON), 5000);
  assert.equal(breaker.earliest(0, GOOD), 0);
  assert.equal(breaker.earliest(0, of('third', 3)), 0);
  assert.equal(breaker.heldForMs(1000, POISON.source), 4000);
  assert.equal(breaker.failureRatio(0), 0, 'its failures do not count against other sources');
});

test('a request that is repeated is blocked alone, and its client is not', () => {
  const breaker = makeBreaker();
  ends(breaker, 0, of('app', 1), 'success');
  ends(breaker, 0, of('app', 2), 'failure', 5);
  assert.equal(breaker.state, 'closed');
  assert.equal(breaker.earliest(0, of('app', 2)), 5000);
  assert.equal(breaker.earliest(0, of('app', 3)), 0);
});

test('with a single client, failures of different requests open the breaker', () => {
  const breaker = makeBreaker();
  ends(breaker, 0, of('app', 1), 'success', 20);
  for (let i = 0; i < 5; i++) ends(breaker, 31_000, of('app', 10 + i), 'failure');
  assert.equal(breaker.state, 'open');
});

test('with a single request, its failures open the breaker', () => {
  const breaker = makeBreaker();
  ends(breaker, 0, of('app', 1), 'success', 20);
  ends(breaker, 31_000, of('app', 1), 'failure', 5);
  assert.equal(breaker.state, 'open');
});

test('an outage under several clients is detected by five failures', () => {
  const breaker = makeBreaker();
  for (const client of ['a', 'b', 'c']) ends(breaker, 0, of(client, 1), 'success');
  ends(breaker, 1, of('a', 2), 'failure', 3);
  ends(breaker, 2, of('b', 3), 'failure');
  assert.equal(breaker.state, 'closed');
  ends(breaker, 3, of('c', 4), 'failure');
  assert.equal(breaker.state, 'open');
});

test('an outage under one dominant client: that client is blocked after five failures, and the first failure of another one opens the breaker', () => {
  const breaker = held();
  ends(breaker, 1, GOOD, 'failure');
  assert.equal(breaker.state, 'open');
  assert.equal(breaker.openForMs(1), 5000);
});

test('once another client was served, it takes five failures of others to open', () => {
  const breaker = held();
  ends(breaker, 1, GOOD, 'success');
  ends(breaker, 2, GOOD, 'failure', 4);
  assert.equal(breaker.state, 'closed');
  ends(breaker, 3, of('third', 3), 'failure');
  assert.equal(breaker.state, 'open');
});

test('a blocked source gets one trial per block, at growing intervals of up to 25 seconds, and is unblocked when one succeeds', () => {
  const breaker = held();
  let now = 0;
  for (const expected of [5000, 10_000, 20_000, 25_000, 25_000]) {
    assert.equal(breaker.heldForMs(now, POISON.source), expected);
    now += expected;
    const trial = breaker.reserve(now, POISON);
    assert.ok(breaker.earliest(now, POISON) > now, 'one at a time');
    breaker.settle(now, trial, POISON, { usage: null, health: 'failure' });
    assert.equal(breaker.state, 'closed');
  }
  now += 25_000;
  ends(breaker, now, POISON, 'success');
  assert.equal(breaker.earliest(now, of('poison', 99)), now);
});

test('a trial never prevents the next one for good: lost, cancelled, or not sent', () => {
  const breaker = held();
  breaker.reserve(5000, POISON);
  assert.equal(breaker.earliest(5000, POISON), 15_000, 'its outcome was never reported');
  const trial = breaker.reserve(15_000, POISON);
  breaker.settle(15_001, trial, POISON, { usage: null, health: 'neutral' });
  assert.equal(breaker.earliest(15_001, POISON), 20_001);
  breaker.cancel(20_001, breaker.reserve(20_001, POISON), POISON);
  assert.equal(breaker.earliest(20_001, POISON), 20_001);
});

test('a trial survives a change of state: its outcome still counts for its source', () => {
  const breaker = held();
  const trial = breaker.reserve(5000, POISON);
  breaker.isolate();
  breaker.reset();
  assert.equal(breaker.earliest(5000, POISON), 5000, 'a reset by hand clears everything');
  breaker.settle(5001, trial, POISON, { usage: null, health: 'failure' });
  assert.equal(breaker.state, 'closed');
});

test('opened by the first client alone, it is probed by another client after a second; a success closes it and blocks the first client', () => {
  const breaker = makeBreaker();
  for (let i = 0; i < 5; i++) ends(breaker, 0, of('poison', 10 + i), 'failure');
  assert.equal(breaker.state, 'open');
  assert.equal(breaker.earliest(0, POISON), 5000);
  assert.equal(breaker.earliest(0, GOOD), 1000);
  ends(breaker, 1000, GOOD, 'success');
  assert.equal(breaker.state, 'closed');
  assert.equal(breaker.earliest(1000, GOOD), 1000);
  assert.equal(breaker.heldForMs(1000, POISON.source), 5000);
});

test('opened by the first client alone and confirmed by another one, it stays open for its full time', () => {
  const breaker = makeBreaker();
  ends(breaker, 0, POISON, 'failure', 5);
  ends(breaker, 1000, GOOD, 'failure');
  assert.equal(breaker.state, 'open');
  for (const need of [POISON, GOOD, of('third', 3)]) assert.equal(breaker.earliest(1000, need), 6000);
});

test('a probe comes from a source that does not fail, where one was served recently', () => {
  const breaker = makeBreaker();
  ends(breaker, 0, GOOD, 'success');
  for (const need of [P1, P2, P1, P2, P1]) ends(breaker, 0, need, 'failure');
  assert.equal(breaker.state, 'open');
  assert.equal(breaker.earliest(5000, P1), 6000);
  assert.equal(breaker.earliest(5000, GOOD), 5000);
});

test('a failed probe of a source that failed before leaves the target to others', () => {
  const breaker = makeBreaker();
  ends(breaker, 0, GOOD, 'success');
  for (const need of [P1, P2, P1, P2, P1]) ends(breaker, 0, need, 'failure');
  ends(breaker, 6000, P1, 'failure');
  assert.equal(breaker.state, 'half-open');
  assert.ok(breaker.earliest(6000, P1) > 6000, 'it is blocked itself');
  assert.equal(breaker.earliest(6000, GOOD), 6000);
  const probe = breaker.reserve(6000, GOOD);
  assert.equal(breaker.earliest(6000, of('third', 3)), WHEN_SETTLED);
  breaker.settle(6001, probe, GOOD, { usage: null, health: 'failure' });
  assert.equal(breaker.state, 'open', 'a failure of a source that did not fail before counts');
});

test('failed probes of two sources open it again, even though a response from before the outage contradicted both', () => {
  const breaker = makeBreaker();
  const late = breaker.reserve(0, GOOD);
  for (let i = 0; i < 3; i++) for (const need of [P1, P2]) ends(breaker, 0, need, 'failure');
  assert.equal(breaker.state, 'open');
  breaker.onFirstContent(1000, late, GOOD);
  ends(breaker, 6000, P1, 'failure', 2);
  assert.equal(breaker.state, 'half-open');
  ends(breaker, 6000, P2, 'failure');
  assert.equal(breaker.state, 'open');
});

test('during a ramp, failures of a source that failed before neither lower the limit nor open the breaker', () => {
  const breaker = makeBreaker();
  ends(breaker, 0, GOOD, 'success');
  for (const need of [P1, P2, P1, P2, P1]) ends(breaker, 0, need, 'failure');
  ends(breaker, 5000, GOOD, 'success');
  assert.equal(breaker.isRamping, true);
  for (let i = 0; i < 20; i++) if (breaker.earliest(5000, P1) === 5000) ends(breaker, 5000, P1, 'failure');
  assert.equal(breaker.state, 'closed');
});

test('property: whatever one client sends, the target is never closed to another client that is served every few seconds', () => {
  const outcome = fc.record({
    request: fc.integer({ min: 100, max: 140 }),
    health: fc.constantFrom<Health>('failure', 'failure', 'failure', 'success', 'neutral'),
    afterMs: fc.integer({ min: 0, max: 900 }),
  });
  fc.assert(
    fc.property(fc.array(outcome, { minLength: 50, maxLength: 400 }), (outcomes) => {
      const breaker = makeBreaker();
      let now = 0;
      let goodAt = -Infinity;
      for (const { request, health, afterMs } of outcomes) {
        now += afterMs;
        if (now - goodAt >= 4000) {
          assert.equal(breaker.earliest(now, GOOD), now);
          ends(breaker, now, GOOD, 'success');
          goodAt = now;
        }
        const need = of('poison', request);
        if (breaker.earliest(now, need) === now) ends(breaker, now, need, health);
        assert.equal(breaker.state, 'closed');
      }
    }),
    { numRuns: 300 },
  );
});

test('a request that failed long ago is forgotten, and its next failures count again', () => {
  const breaker = makeBreaker();
  ends(breaker, 0, POISON, 'failure', 2);
  ends(breaker, 1, GOOD, 'success');
  assert.equal(breaker.soleCauseLevel(POISON.source!), 'request');
  ends(breaker, 10 * 60_000, GOOD, 'success');
  assert.equal(breaker.soleCauseLevel(POISON.source!), null);
});
