import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CONTRACT_NEED, testResourceContract } from '../../core/resource.contract.ts';
import type { Need } from '../../core/resource.ts';
import type { Source } from '../../core/source.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { Cooldown } from './cooldown.ts';

function cooling(until: number, seed = 1): Cooldown {
  const cooldown = new Cooldown('p/m:cooldown', 'cooldown', createSeededRandom(seed));
  cooldown.coolUntil(until);
  return cooldown;
}

/** Starts each request as soon as allowed; returns the instants. */
function herd(cooldown: Cooldown, count: number, from: number): number[] {
  const starts: number[] = [];
  for (let now = from; starts.length < count;) {
    now = cooldown.earliest(now);
    cooldown.reserve(now);
    starts.push(now);
  }
  return starts;
}

testResourceContract('a cooldown that runs', (now) => {
  const cooldown = new Cooldown('p/m:cooldown', 'cooldown', createSeededRandom(1));
  cooldown.coolUntil(now + 5000);
  return cooldown;
});
testResourceContract('a cooldown that never ran', () => new Cooldown('p/m:cooldown', 'cooldown', createSeededRandom(1)));

test('blocks every start until its end', () => {
  const cooldown = cooling(5000);
  assert.equal(cooldown.earliest(1000), 5000);
  assert.equal(cooldown.remainingMs(1000), 4000);
  assert.equal(cooldown.earliest(6000), 6000);
});

test('a shorter one changes nothing, a longer one extends', () => {
  const cooldown = cooling(5000);
  cooldown.coolUntil(3000);
  assert.equal(cooldown.earliest(0), 5000);
  cooldown.coolUntil(8000);
  assert.equal(cooldown.earliest(0), 8000);
});

test('a new one that ends before the gap after the last start does not shorten that gap', () => {
  const cooldown = cooling(5000);
  cooldown.reserve(5000);
  const next = cooldown.earliest(5000);
  cooldown.coolUntil(5001);
  assert.equal(cooldown.earliest(5000), next);
});

test('it reports its cause: that of the longest cooldown, or the default', () => {
  const cooldown = cooling(5000);
  cooldown.coolUntil(8000, 'pause');
  assert.equal(cooldown.kind, 'pause');
  cooldown.coolUntil(6000, 'cooldown');
  assert.equal(cooldown.kind, 'pause');
  cooldown.coolUntil(9000);
  assert.equal(cooldown.kind, 'cooldown');
});

test('a reset unblocks at once and spaces nothing', () => {
  const cooldown = cooling(5000);
  cooldown.reset();
  assert.deepEqual(herd(cooldown, 3, 1000), [1000, 1000, 1000]);
});

test('a cooldown that began after a reservation survives its cancellation', () => {
  const cooldown = cooling(5000);
  const ticket = cooldown.reserve(5000);
  cooldown.coolUntil(9000);
  cooldown.cancel(5001, ticket);
  assert.equal(cooldown.earliest(5001), 9000);
});

test('property: the starts after a cooldown are spread: slow at first, then faster, and done within seconds', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const starts = herd(cooling(5000, seed), 100, 0);
      assert.equal(starts[0], 5000);
      const within = (ms: number): number => starts.filter((at) => at < 5000 + ms).length;
      assert.ok(within(100) <= 5, `${within(100)} in the first 100 ms`);
      assert.ok(within(250) <= 14, `${within(250)} in the first 250 ms`);
      assert.ok(starts.at(-1)! <= 7000);
      for (let i = 1; i < starts.length; i++) assert.ok(starts[i]! >= starts[i - 1]!);
    }),
  );
});

const GOOD: Source = { client: 'good', request: 1 };
const POISON: Source = { client: 'poison', request: 2 };
const needOf = (source: Source, hasNoAlternative = false): Need => ({ ...CONTRACT_NEED, source, hasNoAlternative });

function refusedTo(source: Source): Cooldown {
  const cooldown = new Cooldown('p/m:cooldown', 'cooldown', createSeededRandom(1));
  cooldown.refused(0, source, 30_000);
  return cooldown;
}

/** Starts an attempt and ends it, served or refused. */
function attempt(cooldown: Cooldown, now: number, source: Source, isServed: boolean): void {
  const need = needOf(source);
  assert.equal(cooldown.earliest(now, need), now);
  const ticket = cooldown.reserve(now, need);
  if (isServed) cooldown.onFirstContent(now, ticket, need);
  else cooldown.refused(now, source, now + 30_000);
  cooldown.settle(now, ticket, need, { usage: null, health: isServed ? 'success' : 'neutral' });
}

testResourceContract('a pause that rests on the word of one client', (now) => {
  const cooldown = new Cooldown('p/m:cooldown', 'cooldown', createSeededRandom(1));
  cooldown.refused(now, POISON, now + 5000);
  return cooldown;
});

test('a refusal of one client pauses all; after a second another client tests it, one at a time', () => {
  const cooldown = refusedTo(POISON);
  assert.equal(cooldown.earliest(0, needOf(POISON)), 30_000);
  assert.equal(cooldown.earliest(0, needOf({ client: 'poison', request: 3 })), 30_000, 'not by another request of that client');
  assert.equal(cooldown.earliest(0, needOf(GOOD)), 1000);
  cooldown.reserve(1000, needOf(GOOD));
  assert.equal(cooldown.earliest(1000, needOf(GOOD)), 6000);
  assert.equal(cooldown.remainingMs(1000), 29_000);
});

test('a test that is served ends the pause for all but its cause, whose further refusals are its own', () => {
  const cooldown = refusedTo(POISON);
  attempt(cooldown, 1000, GOOD, true);
  assert.equal(cooldown.remainingMs(1000), 0);
  assert.equal(cooldown.earliest(1100, needOf(GOOD)), 1100);
  assert.equal(cooldown.earliest(1100, needOf(POISON)), 30_000);
  assert.equal(cooldown.soleCauseLevel({ client: 'poison', request: 99 }), 'client');
  cooldown.pauseSource(30_000, POISON, 'client', 60_000);
  assert.equal(cooldown.earliest(30_000, needOf(GOOD)), 30_000);
  assert.equal(cooldown.earliest(30_000, needOf(POISON)), 60_000);
});

test('a test that is refused confirms the pause for all, and the next pause is tested later', () => {
  const cooldown = refusedTo(POISON);
  attempt(cooldown, 1000, GOOD, false);
  for (const source of [GOOD, POISON, { client: 'third', request: 3 }]) assert.equal(cooldown.earliest(1000, needOf(source)), 31_000);
  cooldown.refused(100_000, POISON, 130_000);
  assert.equal(cooldown.earliest(100_000, needOf(GOOD)), 102_000);
});

test('another request of the same client tests a pause only where no other target could serve it, after three seconds', () => {
  const cooldown = refusedTo(POISON);
  const other: Source = { client: 'poison', request: 3 };
  assert.equal(cooldown.earliest(0, needOf(other)), 30_000);
  assert.equal(cooldown.earliest(0, needOf(other, true)), 3000);
  assert.equal(cooldown.earliest(0, needOf(POISON, true)), 30_000, 'the same request never does');
});

test('after its own pause a source starts one request per pause, until one is served', () => {
  const cooldown = refusedTo(POISON);
  attempt(cooldown, 1000, GOOD, true);
  cooldown.reserve(30_000, needOf(POISON));
  assert.equal(cooldown.earliest(30_000, needOf(POISON)), 59_000);
  cooldown.pauseSource(30_001, POISON, 'client', 34_001);
  assert.equal(cooldown.earliest(30_001, needOf(POISON)), 59_000);
  const ticket = cooldown.reserve(59_000, needOf(POISON));
  cooldown.settle(59_001, ticket, needOf(POISON), { usage: null, health: 'success' });
  assert.equal(cooldown.earliest(60_000, needOf(POISON)), 60_000);
});

test('consecutive refusals of one client while others are served become its own', () => {
  const cooldown = new Cooldown('p/m:cooldown', 'cooldown', createSeededRandom(1));
  for (const at of [0, 1000]) {
    assert.equal(cooldown.soleCauseLevel(POISON), null);
    cooldown.refused(at, POISON, at + 200);
    const ticket = cooldown.reserve(at + 500, needOf(GOOD));
    cooldown.settle(at + 600, ticket, needOf(GOOD), { usage: null, health: 'success' });
  }
  assert.equal(cooldown.soleCauseLevel(POISON), 'request');
});

test('the number of paused sources is bounded', () => {
  const cooldown = refusedTo(POISON);
  for (let i = 0; i < 1000; i++) cooldown.pauseSource(0, { client: `c${i}`, request: i }, 'client', 1000 + i);
  const held = Array.from({ length: 1000 }, (_, i) => cooldown.earliest(0, needOf({ client: `c${i}`, request: i })) > 1000);
  cooldown.reset();
  assert.ok(held.filter(Boolean).length >= 32);
  assert.equal(cooldown.earliest(0, needOf({ client: 'c999', request: 999 })), 0);
});

test('a request that was never sent does not block its source again', () => {
  const cooldown = new Cooldown('p/m:cooldown', 'cooldown', createSeededRandom(1));
  const need: Need = { ...CONTRACT_NEED, source: { client: 'a', request: 1 } };
  cooldown.pauseSource(0, need.source!, 'client', 5000);
  const ticket = cooldown.reserve(5000, need);
  assert.equal(cooldown.earliest(5000, need), 10_000, 'one request per pause');
  cooldown.cancel(5001, ticket, need);
  assert.equal(cooldown.earliest(5001, need), 5001);
  cooldown.reserve(5001, need);
  cooldown.pauseSource(5002, need.source!, 'client', 9000);
  cooldown.cancel(5003, cooldown.reserve(5003, need), need);
  assert.equal(cooldown.earliest(5003, need), 9000, 'a requested pause stays');
});
