/** Four instances and the budget of one client, in virtual time: what the provider bills, and how much of the budget is used. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { BudgetWorld, type BudgetInstance, type BudgetOptions } from './budget-world.ts';
import { STORE_OUTAGES } from './store-outages.ts';

const SEEDS = 40;
/** Uneven: most of the load is at one instance. */
const SHARES = [0.7, 0.2, 0.08, 0.02];
const COST = { min: 0.005, max: 0.015 };
const EXACT = 1e-6;

async function startWorld(seed: number, options: BudgetOptions, instances = 4): Promise<BudgetWorld> {
  const world = new BudgetWorld(options, createSeededRandom(seed));
  for (let i = 0; i < instances; i++) await world.join();
  return world;
}

/** Requests at random instants; returns how to stop. */
function load(world: BudgetWorld, perSecond: number, [least, most]: readonly [number, number] = [COST.min, COST.max]): () => void {
  const { random, clock } = world;
  let isOver = false;
  const next = (): void => {
    if (isOver) return;
    let [at, i] = [random.next(), 0];
    while (i < SHARES.length - 1 && at > SHARES[i]!) at -= SHARES[i++]!;
    const { live } = world;
    live[i % live.length]!.ask(least + (most - least) * random.next());
    clock.schedule((-Math.log(1 - random.next()) * 1_000) / perSecond, next);
  };
  next();
  return () => void (isOver = true);
}

/** Spent by all members, according to the ledger of the period. */
function ledgerUsd(world: BudgetWorld): number {
  const { gone, parts } = [...world.store.ledgers].find(([id]) => id.endsWith(`:${world.sinceMs}`))![1];
  return [...parts.values()].reduce((sum, { spent }) => sum + spent, gone) / 1e6;
}

/** The slice of an instance, running calls included; the rest of what it has is spent and known to the ledger. */
function sliceUsd(world: BudgetWorld, instance: BudgetInstance): number {
  const [, ledger] = [...world.store.ledgers].at(-1)!;
  return (ledger.parts.get(instance.member)?.capacity ?? 0) / 1e6;
}

void test(`${SEEDS} seeds: a budget is never exceeded while members join, leave and die, and is used but for the slices of the dead`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = await startWorld(seed, { usd: 10, per: 'day' });
    const stop = load(world, 20);
    let lostUsd = 0;
    for (const at of [5, 12, 20]) {
      await world.clock.advanceAsync(at * 1_000 - world.clock.now());
      const dying = world.live[seed % world.live.length]!;
      const slice = sliceUsd(world, dying);
      assert.ok(slice <= 0.6, `seed ${seed}: a slice of $${slice}`);
      lostUsd += slice;
      dying.kill();
      await world.clock.advanceAsync(2_000);
      world.live[0]!.leave();
      await world.join();
      await world.join();
    }
    await world.clock.advanceAsync(45_000);
    stop();
    await world.clock.advanceAsync(15_000);
    assert.ok(world.billedUsd <= 10 + EXACT, `seed ${seed}: $${world.billedUsd}`);
    assert.ok(world.billedUsd >= 10 - lostUsd - COST.max, `seed ${seed}: $${world.billedUsd}, $${lostUsd} lost`);
    for (const { queue, budget, runningUsd } of world.live) {
      assert.deepEqual([queue.length, Math.abs(runningUsd) < EXACT], [0, true]);
      assert.ok(budget.reservedUsd < EXACT, `seed ${seed}: $${budget.reservedUsd} reserved`);
    }
  }
});

/** Something that happens to an instance; returns what is lost by it at most. */
function shake(world: BudgetWorld): number {
  const { random, live } = world;
  const instance = live[Math.floor(random.next() * live.length)]!;
  const kind = live.length === 1 ? 1 : random.next();
  if (kind >= 0.7) void world.join();
  else if (kind >= 0.35) instance.leave();
  else {
    const usd = sliceUsd(world, instance);
    instance.kill();
    return usd;
  }
  return 0;
}

void test('in 60 random fleets, with requests from a ten-thousandth to a tenth of the budget, no request waits for money that is there', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const usd = 5;
    const unit = usd * [0.0001, 0.001, 0.01, 0.1][seed % 4]!;
    const world = await startWorld(seed, { usd, per: 'day' }, 1 + (seed % 8));
    const stop = load(world, Math.min(200, usd / unit / 30), [0.5 * unit, 1.5 * unit]);
    let lostUsd = 0;
    for (let event = 0; event < 4; event++) {
      await world.clock.advanceAsync(world.random.next() * 6_000);
      lostUsd += shake(world);
    }
    await world.clock.advanceAsync(80_000);
    stop();
    await world.clock.advanceAsync(15_000);
    const isUsed = world.live.some(({ refused }) => refused > 0);
    assert.ok(world.billedUsd <= usd + EXACT, `seed ${seed}: $${world.billedUsd}`);
    assert.ok(!isUsed || world.billedUsd >= usd - lostUsd - 1.5 * unit, `seed ${seed}: $${world.billedUsd}, $${lostUsd} lost`);
    assert.ok(
      world.live.every(({ expired, queue }) => expired === 0 && queue.length === 0),
      `seed ${seed}: a request waited`,
    );
  }
});

void test('a call that costs more than its estimate exceeds the budget by that error alone', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = await startWorld(seed, { usd: 5, per: 'day', costMax: 2 });
    const stop = load(world, 40);
    await world.clock.advanceAsync(40_000);
    stop();
    await world.clock.advanceAsync(15_000);
    assert.ok(world.billedUsd <= 5 + world.runningMaxUsd, `seed ${seed}: $${world.billedUsd}, $${world.runningMaxUsd} ran at once`);
    assert.ok(world.billedUsd >= 5 - COST.max, `seed ${seed}: $${world.billedUsd}`);
  }
});

void test('a burst over four idle instances starts within a second and a half, in few exchanges, up to the budget', async () => {
  const world = await startWorld(1, { usd: 6, per: 'day' });
  await world.clock.advanceAsync(5_000);
  const exchanges = world.store.exchanges;
  for (let i = 0; i < 1_000; i++) world.instances[i % 4]!.ask(0.01, 60_000);
  await world.clock.advanceAsync(1_500);
  const started = world.instances.reduce((sum, instance) => sum + instance.started, 0);
  assert.ok(started >= 590, `${started}`);
  assert.ok(world.store.exchanges - exchanges <= 100, `${world.store.exchanges - exchanges} exchanges`);
  await world.clock.advanceAsync(10_000);
  assert.ok(Math.abs(world.billedUsd - 6) < EXACT, `$${world.billedUsd}`);
  assert.equal(
    world.instances.reduce((sum, { refused, expired, queue }) => sum + refused + expired + queue.length, 0),
    400,
  );
  assert.equal(
    world.instances.reduce((sum, { expired }) => sum + expired, 0),
    0,
    'refused at once',
  );
});

void test('at 20 starts per second and more for each instance, a request costs at most 0.1 exchanges', async () => {
  const world = await startWorld(3, { usd: 1_000, per: 'day' });
  const stop = load(world, 100);
  await world.clock.advanceAsync(5_000);
  const [exchanges, started] = [world.store.exchanges, world.instances.reduce((sum, each) => sum + each.started, 0)];
  await world.clock.advanceAsync(60_000);
  const requests = world.instances.reduce((sum, each) => sum + each.started, 0) - started;
  assert.ok(world.store.exchanges - exchanges <= 0.1 * requests, `${world.store.exchanges - exchanges} exchanges, ${requests} requests`);
  stop();
});

void test('an instance cut off from the store uses its share, counts once when it is back, and its slice is available again', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = await startWorld(seed, { usd: 10, per: 'day' });
    const stop = load(world, 20);
    await world.clock.advanceAsync(10_000);
    const [cut] = world.instances;
    const sharedUsd = (10 - world.billedUsd) / 4;
    cut!.agent.linked(false);
    await world.clock.advanceAsync(15_000);
    cut!.agent.linked(true);
    await world.clock.advanceAsync(5_000);
    stop();
    await world.clock.advanceAsync(5_000);
    assert.ok(Math.abs(ledgerUsd(world) - world.billedUsd) < EXACT, `seed ${seed}: $${ledgerUsd(world)} of $${world.billedUsd}`);
    const again = load(world, 20);
    await world.clock.advanceAsync(40_000);
    again();
    await world.clock.advanceAsync(15_000);
    assert.ok(world.billedUsd <= 10 + sharedUsd, `seed ${seed}: $${world.billedUsd}`);
    assert.ok(world.billedUsd >= 10 - COST.max, `seed ${seed}: $${world.billedUsd}`);
  }
});

for (const [name, begin, end] of STORE_OUTAGES) {
  void test(`with a store that is ${name} requests go on, and nothing that was spent is forgotten`, async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = await startWorld(seed, { usd: 20, per: 'day' });
      const stop = load(world, 20);
      await world.clock.advanceAsync(20_000);
      begin(world);
      const before = world.instances.map(({ started }) => started);
      await world.clock.advanceAsync(20_000);
      world.instances.forEach(({ started, queue }, i) =>
        assert.ok(started - before[i]! >= 20 * 20 * SHARES[i]! * 0.5 && queue.length < 10, `seed ${seed}: ${i} ${started - before[i]!}`),
      );
      end(world);
      await world.clock.advanceAsync(10_000);
      stop();
      await world.clock.advanceAsync(8_000);
      assert.ok(Math.abs(ledgerUsd(world) - world.billedUsd) < EXACT, `seed ${seed}: $${ledgerUsd(world)} of $${world.billedUsd}`);
      const again = load(world, 40);
      await world.clock.advanceAsync(60_000);
      again();
      await world.clock.advanceAsync(15_000);
      assert.ok(world.billedUsd <= 20 + EXACT, `seed ${seed}: $${world.billedUsd}`);
      assert.ok(world.billedUsd >= 20 - COST.max, `seed ${seed}: $${world.billedUsd}`);
    }
  });
}

for (const [name, begin, end] of STORE_OUTAGES) {
  void test(`shares that are used up while the store is ${name} add up to what was left`, async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = await startWorld(seed, { usd: 6, per: 'day' });
      const stop = load(world, 20);
      await world.clock.advanceAsync(10_000 + 500 * seed);
      begin(world);
      await world.clock.advanceAsync(60_000);
      end(world);
      await world.clock.advanceAsync(40_000);
      stop();
      await world.clock.advanceAsync(15_000);
      // The spending of the last exchange's interval was not known to the others.
      assert.ok(world.billedUsd <= 6 + 0.2, `seed ${seed}: $${world.billedUsd}`);
      assert.ok(world.billedUsd >= 6 - COST.max, `seed ${seed}: $${world.billedUsd}`);
      assert.ok(Math.abs(ledgerUsd(world) - world.billedUsd) < EXACT, `seed ${seed}: $${ledgerUsd(world)}`);
    }
  });
}

void test('a new period begins with the whole budget at every instance, and the previous one is not exceeded', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = await startWorld(seed, { usd: 8, per: 'hour' });
    const untilNextMs = 3_600_000 - (world.clock.epochMs() % 3_600_000);
    await world.clock.advanceAsync(untilNextMs - 30_000);
    const stop = load(world, 20);
    await world.clock.advanceAsync(120_000);
    stop();
    await world.clock.advanceAsync(15_000);
    const billed = [...world.books.billed.values()];
    assert.equal(billed.length, 2);
    for (const usd of billed) assert.ok(usd <= 8 + EXACT, `seed ${seed}: $${usd}`);
    assert.ok(billed[1]! >= 8 - COST.max, `seed ${seed}: $${billed[1]}`);
  }
});

void test('a request that waits for what another instance holds starts when it is returned, or its wait ends', async () => {
  const world = await startWorld(1, { usd: 1, per: 'day', callMs: 30_000 }, 2);
  const [first, second] = world.instances;
  for (let i = 0; i < 10; i++) first!.ask(0.1);
  await world.clock.advanceAsync(1_000);
  assert.equal(first!.started, 10);
  second!.ask(0.1, 5_000);
  await world.clock.advanceAsync(6_000);
  assert.deepEqual([second!.started, second!.expired, second!.refused], [0, 1, 0], 'running calls may cost less');
  await world.clock.advanceAsync(30_000);
  second!.ask(0.1, 5_000);
  await world.clock.advanceAsync(100);
  assert.deepEqual([second!.started, second!.refused], [0, 1], 'it is spent');
});
