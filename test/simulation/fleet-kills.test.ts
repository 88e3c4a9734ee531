/** What is lost with a member that is killed, in virtual time: what it held counts as used until the provider no longer counts it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { createFleet, type FleetInstance, type FleetLimits, type FleetWorld } from './fleet-world.ts';

const MINUTE_MS = 60_000;
const MINUTE_SECONDS = 60;
const KINDS = [
  ['a sliding window', 'sliding'],
  ['a bucket', 'bucket'],
] as const;

function limitsOf(window: 'sliding' | 'bucket'): FleetLimits {
  return { requests: 240, tokens: 1e6, ...(window === 'sliding' && { window }) };
}

/** Evenly spaced requests; returns the number that started within the time. */
async function serve({ clock }: FleetWorld, instance: FleetInstance, perSecond: number, durationMs: number): Promise<number> {
  const before = instance.started;
  for (let i = 0; i < (perSecond * durationMs) / 1_000; i++) {
    instance.ask(100);
    await clock.advanceAsync(1_000 / perSecond);
  }
  return instance.started - before;
}

for (const [name, window] of KINDS) {
  for (const afterMs of [20, 100, 300, 900, 1_500]) {
    void test(`an idle newcomer that is killed after ${afterMs} ms takes nothing of ${name} that another member needs`, async () => {
      const world = createFleet(limitsOf(window), createSeededRandom(1));
      const busy = await world.join();
      await world.join();
      await serve(world, busy, 1, MINUTE_MS);
      for (let i = 0; i < 4; i++) {
        const newcomer = await world.join();
        await world.clock.advanceAsync(afterMs);
        newcomer.kill();
        const served = await serve(world, busy, 3, 10_000);
        assert.ok(served >= 29, `kill ${i}: ${served} of 30`);
      }
      assert.ok(world.provider.overshoot <= 0);
    });
  }

  void test(`newcomers that each are killed by their first request take little of ${name}`, async () => {
    const world = createFleet(limitsOf(window), createSeededRandom(3));
    const busy = await world.join();
    await world.join();
    await serve(world, busy, 1, MINUTE_MS);
    for (let i = 0; i < 4; i++) {
      const newcomer = await world.join();
      newcomer.ask(100);
      await world.clock.advanceAsync(40);
      newcomer.kill();
      const served = await serve(world, busy, 3, 10_000);
      assert.ok(served >= 29, `kill ${i}: ${served} of 30`);
    }
    assert.ok(world.provider.overshoot <= 0);
  });

  void test(`a burst of all of ${name} at a member alone starts within 200 ms`, async () => {
    const world = createFleet(limitsOf(window), createSeededRandom(4));
    const alone = await world.join();
    await world.clock.advanceAsync(5_000);
    for (let i = 0; i < 240; i++) alone.ask(100);
    assert.ok(alone.started >= 12, `${alone.started} at once`);
    await world.clock.advanceAsync(200);
    assert.equal(alone.started, 240);
    assert.ok(world.provider.overshoot <= 0);
  });

  void test(`a member alone that is killed and started again has most of ${name} at once`, async () => {
    const world = createFleet(limitsOf(window), createSeededRandom(2));
    const first = await world.join();
    await serve(world, first, 1, 2 * MINUTE_MS);
    first.kill();
    const second = await world.join();
    const served = await serve(world, second, 2, 30_000);
    assert.ok(served >= 58, `${served} of 60`);
    assert.ok(world.provider.overshoot <= 0);
  });
}

for (const how of ['leave', 'kill'] as const) {
  void test(`members of a busy fleet are replaced one after the other (${how}), and a sliding window is used all the time`, async () => {
    const world = createFleet(limitsOf('sliding'), createSeededRandom(5));
    for (let i = 0; i < 3; i++) await world.join();
    const started = (): number => world.instances.reduce((sum, instance) => sum + instance.started, 0);
    const serveAll = async (seconds: number): Promise<void> => {
      for (let i = 0; i < seconds * 5; i++) {
        // More than the limit, at all members.
        const live = world.instances.filter(({ isDead }) => !isDead);
        live[i % live.length]!.ask(100);
        await world.clock.advanceAsync(200);
      }
    };
    await serveAll(2 * MINUTE_SECONDS);
    const before = started();
    for (let i = 0; i < 3; i++) {
      if (how === 'kill') world.instances[i]!.kill();
      else await world.instances[i]!.leave();
      await world.join();
      await serveAll(10);
    }
    await serveAll(MINUTE_SECONDS);
    const used = (started() - before) / (240 * 1.5);
    assert.ok(used >= 0.97, `${(100 * used).toFixed(0)} % used`);
    assert.ok(world.provider.overshoot <= 0, `${world.provider.overshoot}`);
  });
}
