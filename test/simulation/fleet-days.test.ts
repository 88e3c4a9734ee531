/** Instances that share limits of a day, in virtual time: what is lost when they are killed, and what the provider counts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import type { Random } from '../../src/core/random.ts';
import { createFleet, type FleetInstance, type FleetLimits, type FleetWorld } from './fleet-world.ts';
import { STORE_OUTAGES } from './store-outages.ts';

const DAY_MS = 86_400_000;
const SEEDS = 40;
/** Uneven: most of the load is at one instance. */
const SHARES = [0.7, 0.2, 0.08, 0.02];

/** Requests at random instants; returns how to stop. */
function load(world: FleetWorld, random: Random, perSecond: number): () => void {
  let isOver = false;
  const next = (): void => {
    if (isOver) return;
    let [at, i] = [random.next(), 0];
    while (i < SHARES.length - 1 && at > SHARES[i]!) at -= SHARES[i++]!;
    const live = liveOf(world);
    live[i % live.length]!.ask(Math.round(50 + 150 * random.next()));
    world.clock.schedule((-Math.log(1 - random.next()) * 1_000) / perSecond, next);
  };
  next();
  return () => void (isOver = true);
}

function liveOf({ instances }: FleetWorld): readonly FleetInstance[] {
  return instances.filter(({ isDead }) => !isDead);
}

/** What is lost with an instance, as a share of the narrower limit. */
function heldOf({ held }: FleetInstance, { requests, tokens }: FleetLimits): number {
  return Math.max(held.requests / requests, held.tokens / tokens);
}

function usedOf({ provider }: FleetWorld, { requests, tokens }: FleetLimits): number {
  return Math.max(provider.calls.length / requests, provider.tokens / tokens);
}

const KINDS: readonly (readonly [name: string, limits: FleetLimits])[] = [
  ['a bucket', { requests: 1_000, tokens: 1e9, windowMs: DAY_MS }],
  ['a bucket of tokens', { requests: 1e6, tokens: 125_000, windowMs: DAY_MS }],
  ['a sliding window', { requests: 1_000, tokens: 1e9, windowMs: DAY_MS, window: 'sliding' }],
];

for (const [name, limits] of KINDS) {
  void test(`${SEEDS} seeds of ${name} for a day: with each instance that is killed at most a slice is lost, and the limit holds`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = createSeededRandom(seed);
      const world = createFleet(limits, random);
      for (let i = 0; i < 4; i++) await world.join();
      const stop = load(world, random, 20);
      let lost = 0;
      for (const at of [5, 12, 20, 30]) {
        await world.clock.advanceAsync(at * 1_000 - world.clock.now());
        const live = liveOf(world);
        const dying = live[(seed + at) % live.length]!;
        const held = heldOf(dying, limits);
        assert.ok(held <= 0.0505, `seed ${seed}: ${held} held`);
        // The claim on its way may have been granted as much again.
        lost += held + 0.01;
        dying.kill();
        await world.clock.advanceAsync(2_000);
        await liveOf(world)[0]!.leave();
        await world.join();
        await world.join();
      }
      await world.clock.advanceAsync(60_000);
      stop();
      await world.clock.advanceAsync(10_000);
      assert.ok(world.provider.overshoot <= 0, `seed ${seed}: ${(world.provider.overshoot * 100).toFixed(2)} % over the limit`);
      const used = usedOf(world, limits);
      assert.ok(used >= 1 - lost - 0.005, `seed ${seed}: ${(used * 100).toFixed(1)} % used, ${(lost * 100).toFixed(1)} % lost`);
    }
  });
}

for (const [name, limits] of KINDS) {
  void test(`${name} for a day: an instance alone that is killed and started again twenty times uses most of the limit`, async () => {
    const world = createFleet(limits, createSeededRandom(3));
    for (let round = 0; round < 20; round++) {
      const instance = await world.join();
      instance.ask(100);
      await world.clock.advanceAsync(2_000);
      assert.equal(instance.started, 1, `round ${round}`);
      assert.ok(heldOf(instance, limits) <= 0.01, `round ${round}: ${heldOf(instance, limits)} held`);
      instance.kill();
      await world.clock.advanceAsync(10_000);
    }
    const last = await world.join();
    for (let i = 0; i < 1_500; i++) last.ask(100);
    await world.clock.advanceAsync(30_000);
    assert.ok(world.provider.overshoot <= 0);
    assert.ok(usedOf(world, limits) >= 0.85, `${usedOf(world, limits)} used`);
  });

  void test(`${name} for a day: what others hold idle is fetched before a request waits for the refill`, async () => {
    const world = createFleet(limits, createSeededRandom(3));
    for (let i = 0; i < 4; i++) await world.join();
    for (const instance of world.instances) for (let i = 0; i < 100; i++) instance.ask(100);
    await world.clock.advanceAsync(10_000);
    const [busy] = world.instances;
    for (let i = 0; i < 1_000; i++) busy!.ask(100);
    await world.clock.advanceAsync(15_000);
    const used = usedOf(world, limits);
    assert.ok(used >= 0.998 && world.provider.overshoot <= 0, `${used} used`);
  });
}

void test('at 20 starts per second and more for each instance, a request costs at most 0.1 exchanges of a limit of a day', async () => {
  const random = createSeededRandom(3);
  const world = createFleet({ requests: 100_000, tokens: 1e9, windowMs: DAY_MS }, random);
  for (let i = 0; i < 4; i++) await world.join();
  const stop = load(world, random, 100);
  await world.clock.advanceAsync(5_000);
  const [exchanges, calls] = [world.store.exchanges, world.provider.calls.length];
  await world.clock.advanceAsync(60_000);
  const perRequest = (world.store.exchanges - exchanges) / (world.provider.calls.length - calls);
  assert.ok(perRequest <= 0.1, `${perRequest}`);
  stop();
});

for (const [name, limits] of KINDS) {
  void test(`${name} for a day: an instance cut off from the store uses its part of what was left, and that is settled once it is back`, async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = createSeededRandom(seed);
      const world = createFleet(limits, random);
      for (let i = 0; i < 4; i++) await world.join();
      const stop = load(world, random, 10);
      await world.clock.advanceAsync(20_000);
      const left = 1 - usedOf(world, limits);
      const cut = world.instances[seed % 4]!;
      const before = cut.started;
      cut.agent.linked(false);
      for (let i = 0; i < 1_000; i++) cut.ask(100);
      await world.clock.advanceAsync(15_000);
      const share = (cut.started - before) / 1_000;
      // The slice and a quarter of what was left; a call takes 125 tokens or less.
      assert.ok(share >= left / 4 - 0.05 && share <= (left / 4) * 1.25 + 0.1, `seed ${seed}: ${share} of ${left}`);
      cut.agent.linked(true);
      await world.clock.advanceAsync(100_000);
      stop();
      await world.clock.advanceAsync(10_000);
      assert.ok(world.provider.overshoot <= 0.005, `seed ${seed}: ${world.provider.overshoot} over the limit`);
      assert.ok(usedOf(world, limits) >= 0.99, `seed ${seed}: ${usedOf(world, limits)} used`);
    }
  });
}

for (const [outage, begin, end] of STORE_OUTAGES) {
  for (const [name, limits] of KINDS) {
    void test(`${name} for a day with a store that is ${outage}: requests go on, and what was used meanwhile is counted`, async () => {
      for (let seed = 1; seed <= 20; seed++) {
        const random = createSeededRandom(seed);
        const world = createFleet(limits, random);
        for (let i = 0; i < 4; i++) await world.join();
        const stop = load(world, random, 10);
        await world.clock.advanceAsync(20_000);
        begin(world);
        const before = world.instances.map(({ started }) => started);
        await world.clock.advanceAsync(20_000);
        // A quarter of what was left, at least.
        world.instances.forEach(({ started, queue }, i) =>
          assert.ok(started - before[i]! >= 100 || queue.length < 10, `seed ${seed}: ${i} ${started - before[i]!} ${queue.length}`),
        );
        end(world);
        await world.clock.advanceAsync(120_000);
        stop();
        await world.clock.advanceAsync(10_000);
        assert.ok(world.provider.overshoot <= 0.02, `seed ${seed}: ${(world.provider.overshoot * 100).toFixed(2)} % over the limit`);
        const used = usedOf(world, limits);
        assert.ok(used >= 0.95, `seed ${seed}: ${(used * 100).toFixed(1)} % used`);
      }
    });
  }
}
