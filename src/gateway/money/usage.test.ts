import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FinishedEvent, PaidCall } from '../../core/events.ts';
import { completeRates } from '../../core/price.ts';
import type { Price } from '../../core/price.ts';
import { createMemoryStore } from '../../store/memory/memory-store.ts';
import { finished as finishedEvent } from '../../telemetry/events.fixture.ts';
import type { ExpiryRange, Store } from '../../store/store.ts';
import { createFaultyDisk, openFaultyStore } from '../../testing/faulty-store.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { ROWS_PER_DAY_MAX, UsageLedger } from './usage-ledger.ts';
import { usageReport } from './usage-report.ts';

const DAY = 86_400_000;
const price: Price = { ...completeRates({ input: 1, output: 2 }), above: [], tiers: {} };
const call = (more: Partial<PaidCall> = {}): PaidCall => ({
  target: 'a/x',
  usage: { inputTokens: 100, cachedInputTokens: 0, outputTokens: 10 },
  wasted: false,
  ...more,
});
const finished = (calls: readonly PaidCall[], more: Partial<FinishedEvent> = {}): FinishedEvent => ({
  ...finishedEvent(more),
  calls,
});

function stage() {
  const clock = createManualClock();
  const store = createMemoryStore({ clock });
  return { clock, store, ledger: new UsageLedger(store, clock, 'p1') };
}

const EVER = ['0000-01-01', '9999-12-31'] as const;

describe('the usage ledger', () => {
  it('sums calls of all processes that write to the store', async () => {
    const { clock, store, ledger } = stage();
    ledger.record(finished([call(), call({ wasted: true })]));
    ledger.save();
    const next = new UsageLedger(store, clock, 'p2');
    next.record(finished([call({ target: 'b/y' })]));
    for (const reader of [ledger, next]) {
      if (reader === ledger) next.save();
      const { rows, total } = usageReport(await reader.rows(...EVER), ['target'], () => price);
      assert.deepEqual(
        rows.map(({ target, calls, costUsd, wastedCostUsd }) => [target, calls, costUsd, wastedCostUsd]),
        [
          ['a/x', 2, 0.00024, 0.00012],
          ['b/y', 1, 0.00012, 0],
        ],
      );
      assert.deepEqual([total.calls, total.inputTokens, total.outputTokens, total.costUsd], [3, 300, 30, 0.00036]);
    }
  });

  it('counts a row that is saved again once', async () => {
    const { ledger } = stage();
    ledger.record(finished([call()]));
    ledger.save();
    ledger.record(finished([call()]));
    ledger.save();
    assert.equal(usageReport(await ledger.rows(...EVER), [], () => price).total.calls, 2);
  });

  it('keeps days apart, and earlier days in the store alone', async () => {
    const { clock, ledger } = stage();
    ledger.record(finished([call()]));
    ledger.save();
    clock.advance(DAY);
    ledger.record(finished([call()]));
    clock.advance(DAY);
    ledger.save();
    ledger.record(finished([call(), call()]));
    const rows = await ledger.rows(...EVER);
    const days = usageReport(rows, ['day'], () => price).rows;
    assert.deepEqual(
      days.map(({ calls }) => calls),
      [1, 1, 2],
    );
    const [first, second] = days.map(({ day }) => day!);
    assert.equal(usageReport(await ledger.rows(first!, second!), [], () => price).total.calls, 2);
  });

  it('prices by the table of today, tiers and long prompts included', async () => {
    const { ledger } = stage();
    const usage = { inputTokens: 300_000, cachedInputTokens: 0, outputTokens: 0 };
    ledger.record(finished([call({ usage }), call({ usage: { ...usage, serviceTier: 'batch' } })]));
    const rows = await ledger.rows(...EVER);
    const above = [{ tokens: 200_000, ...completeRates({ input: 2 }) }];
    const corrected: Price = { ...price, above, tiers: { batch: { ...completeRates({ input: 0.5 }), above: [] } } };
    assert.equal(usageReport(rows, [], () => price).total.costUsd, 0.6);
    assert.equal(usageReport(rows, [], () => corrected).total.costUsd, 0.75);
  });

  it('counts calls without a price or usage as unpriced', async () => {
    const { ledger } = stage();
    ledger.record(finished([call(), call({ usage: null }), call({ target: 'b/y' })]));
    const rows = await ledger.rows(...EVER);
    const { total } = usageReport(rows, [], (target) => (target === 'a/x' ? price : null));
    assert.deepEqual([total.calls, total.unpricedCalls, total.costUsd], [3, 2, 0.00012]);
  });

  it('prices calls by the provider that they were made at, and those of earlier versions by that of today', async () => {
    const { store, ledger } = stage();
    const priceBasis = { table: 'openai', hasBatches: true };
    ledger.record(finished([call({ priceBasis }), call({ priceBasis }), call({ priceBasis: { ...priceBasis, table: null } }), call()]));
    ledger.save();
    const seen: unknown[] = [];
    const next = new UsageLedger(store, createManualClock(), 'p2');
    usageReport(await next.rows(...EVER), [], (target, basis) => (seen.push([target, basis]), price));
    assert.deepEqual(seen, [
      ['a/x', priceBasis],
      ['a/x', { table: null, hasBatches: true }],
      ['a/x', undefined],
    ]);
  });

  it('keeps what was not reported apart, by estimate', async () => {
    const { ledger } = stage();
    const estimated = { inputTokens: 300_000, cachedInputTokens: 0, outputTokens: 1_000 };
    ledger.record(finished([call(), call({ usage: null, estimated }), call({ estimated: { ...estimated, inputTokens: 0 } })]));
    const above = [{ tokens: 200_000, ...completeRates({ input: 10, output: 20 }) }];
    const { total } = usageReport(await ledger.rows(...EVER), [], () => ({ ...price, above }));
    assert.deepEqual([total.calls, total.unpricedCalls, total.inputTokens, total.costUsd], [3, 2, 200, 0.00024]);
    assert.equal(total.estimatedCostUsd, 3 + 0.02 + 0.002, 'by the rates of its prompt');
    const free = usageReport(await ledger.rows(...EVER), [], () => ({ ...completeRates({ input: 0 }), above: [], tiers: {} }));
    assert.deepEqual([free.total.unpricedCalls, free.total.estimatedCostUsd], [0, 0]);
  });

  it('reads only the days that are asked for', async () => {
    const { clock, store, ledger } = stage();
    const days: string[] = [];
    for (let i = 0; i < 5; i++) {
      ledger.record(finished([call()]));
      ledger.save();
      days.push(new Date(clock.epochMs()).toISOString().slice(0, 10));
      clock.advance(DAY);
    }
    const scanned: number[] = [];
    const counting: Store = Object.create(store, {
      scan: { value: (name: string, range: ExpiryRange) => (scanned.push(range.fromMs), store.scan(name, range)) },
      getAll: { value: assert.fail },
    });
    const reader = new UsageLedger(counting, clock, 'p2');
    assert.equal(usageReport(await reader.rows(days[1]!, days[2]!), [], () => price).total.calls, 2);
    assert.equal(scanned.length, 2);
    assert.equal((await reader.otherRows(days[4]!))!.length, 1);
  });

  it('is incomplete while the store cannot be read, and has what is not saved', async (t) => {
    const clock = createManualClock();
    const disk = createFaultyDisk({ clock, random: createSeededRandom(1) });
    const store = await openFaultyStore({ clock, disk });
    t.after(() => store.close());
    const ledger = new UsageLedger(store, clock, 'p1');
    new UsageLedger(store, clock, 'p0').record(finished([call()]));
    const before = new UsageLedger(store, clock, 'p0');
    before.record(finished([call()]));
    before.save();
    assert.equal(await store.flush(), true);
    ledger.record(finished([call()]));
    const seen = async () => {
      let calls = 0;
      const isComplete = await ledger.eachRow(...EVER, (row) => (calls += row.calls));
      return [calls, isComplete];
    };
    assert.deepEqual(await seen(), [2, true]);
    disk.setFaults({ failureRatio: 1 });
    for (let i = 0; i < 2; i++) assert.deepEqual(await seen(), [1, false]);
    assert.equal(await ledger.otherRows(new Date(clock.epochMs()).toISOString().slice(0, 10)), null);
  });

  it('merges what ended processes have left, of days a week ago and before, once', async () => {
    const { clock, store } = stage();
    const usages = [100, 200, 300].map((inputTokens) => ({ inputTokens, cachedInputTokens: 0, outputTokens: 10 }));
    for (const [i, usage] of usages.entries()) {
      const ended = new UsageLedger(store, clock, `p${i}`);
      ended.record(finished([call({ usage }), call({ usage: null, estimated: usage }), call({ target: `b/${i}` })]));
      ended.save();
    }
    const key = [...(await store.getAll('usage')).keys()].find((name) => name.includes('b/0'))!;
    const newer = { ...((await store.getAll('usage')).get(key) as object), unknown: 1 };
    const expiresAtMs = Date.UTC(2025, 0, 1) + 400 * DAY;
    for (const process of ['n1', 'n2']) store.put('usage', key.replace('p0', process), newer, { expiresAtMs });
    const ledger = new UsageLedger(store, clock, 'now');
    const report = async () => usageReport(await ledger.rows(...EVER), ['target'], () => price);
    const before = await report();
    clock.advance(6 * DAY);
    await ledger.merge();
    assert.equal((await store.getAll('usage')).size, 8, 'too early');
    clock.advance(DAY);
    for (let i = 0; i < 2; i++) {
      await Promise.all([ledger.merge(), new UsageLedger(store, clock, 'beside').merge()]);
      assert.equal(
        (await store.getAll('usage')).size,
        1 + 2 + 3,
        'one that all have, one of each, and a group with rows of another version',
      );
      assert.deepEqual(await report(), before);
    }
    const late = new UsageLedger(store, clock, 'late');
    store.put(
      'usage',
      [...(await store.getAll('usage')).keys()].find((name) => name.endsWith(' merged'))!.replace('merged', 'late'),
      {},
      { expiresAtMs },
    );
    await late.merge();
    assert.deepEqual(await report(), before, 'a row that is not understood');
    clock.advance(393 * DAY);
    assert.equal((await store.getAll('usage')).size, 0);
  });

  it('counts a call of a day that the clock goes back to', async () => {
    const { clock, ledger } = stage();
    ledger.record(finished([call()]));
    ledger.save();
    clock.shiftEpoch(DAY);
    ledger.record(finished([], {}));
    clock.shiftEpoch(-DAY);
    ledger.record(finished([call(), call({ target: 'b/y' })]));
    ledger.save();
    assert.equal((await ledger.rows(...EVER)).find(({ target }) => target === 'b/y')!.calls, 1);
  });

  it('counts calls beyond its limit of rows as those of another model', async () => {
    const { ledger } = stage();
    for (let i = 0; i < ROWS_PER_DAY_MAX + 10; i++) ledger.record(finished([call()], { model: `m${i}` }));
    const { rows, total } = usageReport(await ledger.rows(...EVER), ['model'], () => price);
    assert.equal(total.calls, ROWS_PER_DAY_MAX + 10);
    assert.equal(rows.length, ROWS_PER_DAY_MAX + 1);
    assert.equal(rows.find(({ model }) => model === 'other')!.calls, 10);
  });

  it('ignores rows that another version wrote', async () => {
    const { store, ledger } = stage();
    for (const [key, value] of Object.entries({
      a: 1,
      b: null,
      c: { day: 'x' },
      d: { day: '2025-01-01', client: 'w', model: 'm', target: 't', tokens: { input: -1 } },
    }))
      store.put('usage', key, value, { expiresAtMs: Date.UTC(2025, 0, 1) + 400 * DAY });
    const rows = await ledger.rows(...EVER);
    assert.deepEqual(
      rows.map(({ calls, tokens }) => [calls, tokens.input]),
      [[0, 0]],
    );
  });
});
