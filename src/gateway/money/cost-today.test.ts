import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeRates } from '../../core/price.ts';
import { openStore } from '../../store/open-store.ts';
import { finished } from '../../telemetry/events.fixture.ts';
import { createFaultyDisk, openFaultyStore } from '../../testing/faulty-store.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { CostToday } from './cost-today.ts';
import { UsageLedger } from './usage-ledger.ts';

const price = { ...completeRates({ input: 1, output: 2 }), above: [], tiers: {} };
const priceOf = (target: string) => (target === 'a/free' ? null : price);
const call = (target: string) => ({
  target,
  usage: { inputTokens: 1_000_000, cachedInputTokens: 0, outputTokens: 1_000_000 },
  wasted: false,
});

test('the cost of today is that of this process at once, and of others that share the store within a minute', async () => {
  const clock = createManualClock();
  const store = await openStore('memory:', { clock, onWarning: () => {} });
  const before = new UsageLedger(store, clock, 'before');
  before.record(finished({ client: 'web', calls: [call('a/m'), call('b/m')] }));
  before.save();
  const own = new UsageLedger(store, clock, 'own');
  const cost = new CostToday(own, clock, priceOf);
  own.record(finished({ client: 'batch', calls: [call('a/m'), call('a/free')] }));
  own.save();
  assert.deepEqual(cost.read(), {
    usd: 3,
    unpricedCalls: 1,
    byTarget: [
      { target: 'a/m', usd: 3, unpricedCalls: 0 },
      { target: 'a/free', usd: 0, unpricedCalls: 1 },
    ],
    byClient: [{ client: 'batch', usd: 3, unpricedCalls: 1 }],
  });
  await clock.advanceAsync(0);
  assert.equal(cost.read().usd, 9);
  assert.deepEqual(cost.read().byTarget[0], { target: 'a/m', usd: 6, unpricedCalls: 0 });
  assert.deepEqual(
    cost.read().byClient.map(({ client, usd }) => [client, usd]),
    [
      ['web', 6],
      ['batch', 3],
    ],
  );
  await store.close();
});

test('the cost of others stays as it was read while the store cannot be read', async (t) => {
  const clock = createManualClock();
  const disk = createFaultyDisk({ clock, random: createSeededRandom(1) });
  const store = await openFaultyStore({ clock, disk });
  t.after(() => store.close());
  const before = new UsageLedger(store, clock, 'before');
  before.record(finished({ calls: [call('a/m')] }));
  before.save();
  await store.flush();
  const cost = new CostToday(new UsageLedger(store, clock, 'own'), clock, priceOf);
  cost.read();
  await clock.advanceAsync(0);
  assert.equal(cost.read().usd, 3);
  disk.setFaults({ failureRatio: 1 });
  for (let i = 0; i < 3; i++) {
    await clock.advanceAsync(60_000);
    assert.equal(cost.read().usd, 3);
  }
});

test('a new day begins at zero', async () => {
  const clock = createManualClock({ epochMs: Date.UTC(2026, 10, 30, 23, 59, 59) });
  const store = await openStore('memory:', { clock, onWarning: () => {} });
  const ledger = new UsageLedger(store, clock, 'own');
  const cost = new CostToday(ledger, clock, priceOf);
  ledger.record(finished({ calls: [call('a/m')] }));
  assert.equal(cost.read().usd, 3);
  await clock.advanceAsync(2_000);
  assert.equal(cost.read().usd, 0);
  await store.close();
});

test('the sum of many rows is computed every ten seconds only', async () => {
  const clock = createManualClock();
  const store = await openStore('memory:', { clock, onWarning: () => {} });
  const ledger = new UsageLedger(store, clock, 'own');
  const cost = new CostToday(ledger, clock, priceOf);
  ledger.record(finished({ calls: Array.from({ length: 201 }, (_, i) => call(`a/m${i}`)) }));
  assert.equal(cost.read().usd, 603);
  ledger.record(finished({ calls: [call('a/m0')] }));
  assert.equal(cost.read().usd, 603);
  clock.advance(10_000);
  assert.equal(cost.read().usd, 606);
  await store.close();
});
