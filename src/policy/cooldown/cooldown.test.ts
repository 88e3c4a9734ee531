import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { testResourceContract } from '../../core/resource.contract.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { Cooldown } from './cooldown.ts';

function cooling(until: number, seed = 1): Cooldown {
  const cooldown = new Cooldown('p/m:cooldown', 'cooldown', createSeededRandom(seed));
  cooldown.coolUntil(until);
  return cooldown;
}

/** Starts as soon as each may; the instants. */
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

test('holds everything back until its end', () => {
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

test('a new one shorter than the gap after the last start does not shorten that gap', () => {
  const cooldown = cooling(5000);
  cooldown.reserve(5000);
  const next = cooldown.earliest(5000);
  cooldown.coolUntil(5001);
  assert.equal(cooldown.earliest(5000), next);
});

test('it names its cause: that of the cooldown that rules, or the usual one', () => {
  const cooldown = cooling(5000);
  cooldown.coolUntil(8000, 'bench');
  assert.equal(cooldown.kind, 'bench');
  cooldown.coolUntil(6000, 'cooldown');
  assert.equal(cooldown.kind, 'bench');
  cooldown.coolUntil(9000);
  assert.equal(cooldown.kind, 'cooldown');
});

test('a reset frees at once and spreads nothing', () => {
  const cooldown = cooling(5000);
  cooldown.reset();
  assert.deepEqual(herd(cooldown, 3, 1000), [1000, 1000, 1000]);
});

test('a cooldown that began after a reservation outlives its cancellation', () => {
  const cooldown = cooling(5000);
  const ticket = cooldown.reserve(5000);
  cooldown.coolUntil(9000);
  cooldown.cancel(5001, ticket);
  assert.equal(cooldown.earliest(5001), 9000);
});

test('property: a herd released by one cooldown is spread: first slowly, then faster, and over within seconds', () => {
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
