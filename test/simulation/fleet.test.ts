/** Four instances and one provider, in virtual time: what the provider counts, and how much of the limits is used. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Random } from '../../src/core/random.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { createFleet, type FleetInstance, type FleetLimits, type FleetWorld } from './fleet-world.ts';
import { STORE_OUTAGES } from './store-outages.ts';

const MINUTE_MS = 60_000;
/** Of each kind; 201 in total. */
const SEEDS = 67;
/** Uneven: most of the load is at one instance. */
const SHARES = [0.7, 0.2, 0.08, 0.02];

function load(world: FleetWorld, random: Random, perMinute: number, shares: readonly number[] = SHARES): () => void {
  let isOver = false;
  const next = (): void => {
    if (isOver) return;
    let [at, i] = [random.next(), 0];
    while (i < shares.length - 1 && at > shares[i]!) at -= shares[i++]!;
    const live = world.instances.filter(({ isDead }) => !isDead);
    live[i % live.length]!.ask(Math.round(50 + 150 * random.next()));
    world.clock.schedule((-Math.log(1 - random.next()) * MINUTE_MS) / perMinute, next);
  };
  next();
  return () => void (isOver = true);
}

async function startFleet(limits: FleetLimits, random: Random): Promise<FleetWorld> {
  const world = createFleet(limits, random);
  for (let i = 0; i < 4; i++) await world.join();
  return world;
}

const KINDS: readonly (readonly [name: string, limits: FleetLimits, usedMin: number])[] = [
  ['a bucket', { requests: 600, tokens: 100_000 }, 0.95],
  ['a bucket with a small burst', { requests: 600, tokens: 100_000, burst: 0.1 }, 0.95],
  ['a sliding window', { requests: 600, tokens: 100_000, window: 'sliding' }, 0.95],
];

for (const [name, limits, usedMin] of KINDS) {
  void test(`${SEEDS} seeds of ${name}: the limit holds while members join, leave and die, and is used`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = createSeededRandom(seed);
      const world = await startFleet(limits, random);
      const stop = load(world, random, limits.requests * 1.2);
      await world.clock.advanceAsync(1.5 * MINUTE_MS);
      const [calls, tokens] = [world.provider.calls.length, world.provider.tokens];
      await world.clock.advanceAsync(3 * MINUTE_MS);
      // Of the limit that is the narrower one for these requests.
      const ofRequests = (world.provider.calls.length - calls) / (3 * limits.requests);
      const used = Math.max(ofRequests, (world.provider.tokens - tokens) / (3 * limits.tokens));
      assert.ok(used >= usedMin, `seed ${seed}: ${(used * 100).toFixed(1)} % used`);
      world.instances[seed % 4]!.kill();
      await world.clock.advanceAsync(10_000);
      await world.join();
      await world.clock.advanceAsync(10_000);
      await world.instances.find(({ isDead }) => !isDead)!.leave();
      await world.clock.advanceAsync(20_000);
      assert.ok(world.provider.overshoot <= 0, `seed ${seed}: ${(world.provider.overshoot * 100).toFixed(2)} % over the limit`);
      stop();
    }
  });
}

void test('at 20 starts per second and more for each instance, a request costs at most 0.1 exchanges', async () => {
  const random = createSeededRandom(3);
  const world = await startFleet({ requests: 12_000, tokens: 10_000_000 }, random);
  const asking = world.instances.map((instance) => evenly(world, instance, 25));
  await world.clock.advanceAsync(5_000);
  const [exchanges, calls] = [world.store.exchanges, world.provider.calls.length];
  await world.clock.advanceAsync(MINUTE_MS);
  const perRequest = (world.store.exchanges - exchanges) / (world.provider.calls.length - calls);
  assert.ok(perRequest <= 0.1, `${perRequest}`);
  for (const stop of asking) stop();
});

for (const [places, shares, usedMin] of [
  [8, SHARES, 0.77],
  [8, [0.5, 0.5, 0, 0], 0.94],
  [40, [0.25, 0.25, 0.25, 0.25], 0.94],
  [40, [0.5, 0.5, 0, 0], 0.84],
] as const) {
  void test(`of ${places} places ${usedMin * 100} % and more are used by calls of 0.8 s, with shares of the load of ${shares.join(', ')}`, async () => {
    const [random, seconds] = [createSeededRandom(places), 120];
    const world = await startFleet({ requests: 1e6, tokens: 1e9, concurrency: places }, random);
    const stop = load(world, random, 1.2 * (places / 0.82) * 60, shares);
    await world.clock.advanceAsync(10_000);
    let used = 0;
    for (let i = 0; i < 20 * seconds; i++) {
      await world.clock.advanceAsync(50);
      used += world.provider.running / places / (20 * seconds);
    }
    assert.ok(used >= usedMin, `${(100 * used).toFixed(1)} % used`);
    assert.ok(world.provider.overshoot <= 0, `${world.provider.overshoot}`);
    stop();
  });
}

function evenly({ clock }: FleetWorld, instance: FleetInstance, perSecond: number): () => void {
  let isOver = false;
  const next = (): void => {
    if (isOver) return;
    instance.ask(100);
    clock.schedule(1_000 / perSecond, next);
  };
  next();
  return () => void (isOver = true);
}

void test('a new instance gets a part within a second, although the others use the whole limit', async () => {
  const random = createSeededRandom(5);
  const world = createFleet({ requests: 600, tokens: 100_000, burst: 0.05 }, random);
  for (let i = 0; i < 3; i++) await world.join();
  const asking = world.instances.map((instance) => evenly(world, instance, 10));
  await world.clock.advanceAsync(20_000);
  const newcomer = await world.join();
  for (let i = 0; i < 20; i++) newcomer.ask(100);
  await world.clock.advanceAsync(1_000);
  assert.ok(newcomer.started >= 1, `${newcomer.started}`);
  await world.clock.advanceAsync(9_000);
  assert.ok(newcomer.started >= 15, `${newcomer.started}`);
  for (const stop of asking) stop();
});

for (const [name, begin, end] of STORE_OUTAGES) {
  void test(`a store that is ${name} blocks no instance, and the provider gets at most one share too much`, async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = createSeededRandom(seed);
      const limits = { requests: 600, tokens: 100_000, burst: 0.1 };
      const world = await startFleet(limits, random);
      const stop = load(world, random, limits.requests * 1.2);
      await world.clock.advanceAsync(30_000);
      begin(world);
      const before = world.instances.map(({ started }) => started);
      await world.clock.advanceAsync(30_000);
      // Every instance with load starts requests, at its share of a quarter at least.
      world.instances.forEach(({ started, queue }, i) =>
        assert.ok(started - before[i]! >= 0.9 * 0.25 * 300 || queue.length < 10, `seed ${seed}: ${i}`),
      );
      end(world);
      await world.clock.advanceAsync(5_000);
      const [calls, since] = [world.provider.calls.length, world.clock.now()];
      await world.clock.advanceAsync(MINUTE_MS);
      const used = (world.provider.calls.length - calls) / ((limits.requests * (world.clock.now() - since)) / MINUTE_MS);
      assert.ok(used >= 0.9, `seed ${seed}: ${used} used afterwards`);
      assert.ok(world.provider.overshoot <= limits.burst / 4, `seed ${seed}: ${world.provider.overshoot}`);
      stop();
    }
  });
}
