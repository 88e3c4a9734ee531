import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { createFaultyDisk, openFaultyStore, type FaultyDisk, type StoreFaults } from '../testing/faulty-store.ts';
import { createManualClock, type ManualClock } from '../testing/manual-clock.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import type { Backend, Connection, ReadResult } from './backend.ts';
import { testStoreContract } from './contract.test-suite.ts';
import type { Store, StoreHealth, StoreLimits } from './store.ts';
import { STORE_TIMING } from './store-timing.ts';
import { openWriteBehindStore } from './write-behind.ts';

interface Scene {
  readonly clock: ManualClock;
  readonly disk: FaultyDisk;
  readonly warnings: string[];
  readonly open: (limits?: Partial<StoreLimits>) => Promise<Store>;
}

function createScene(t: TestContext | undefined, faults: Partial<StoreFaults> = {}, seed = 1): Scene {
  const clock = createManualClock({ epochMs: 1_000_000 });
  const disk = createFaultyDisk({ clock, random: createSeededRandom(seed) });
  disk.setFaults(faults);
  const warnings: string[] = [];
  return {
    clock,
    disk,
    warnings,
    async open(limits = {}) {
      const opening = openFaultyStore({ clock, disk, limits, onWarning: (message) => warnings.push(message) });
      await clock.advanceAsync(STORE_TIMING.connectTimeoutMs);
      const store = await opening;
      t?.after(async () => {
        disk.heal();
        const closing = store.close();
        await clock.advanceAsync(60_000);
        await closing;
      });
      return store;
    },
  };
}

const faultOf = (health: StoreHealth): string => (health.state === 'ok' ? 'ok' : health.fault);

testStoreContract({
  name: 'write-behind',
  open: (_t, clock, limits = {}) => openFaultyStore({ clock, disk: createFaultyDisk({ clock, random: createSeededRandom(1) }), limits }),
});

test('writes within 25 ms are committed together, and nothing is committed before', async (t) => {
  const { clock, disk, open } = createScene(t);
  const store = await open();
  for (let index = 0; index < 50; index++) {
    store.put('bucket', `${index}`, index);
    await clock.advanceAsync(0.5);
  }
  assert.equal(disk.commits, 1);
  store.put('bucket', 'late', 1);
  await clock.advanceAsync(24);
  assert.equal(disk.commits, 1);
  await clock.advanceAsync(1);
  assert.equal(disk.commits, 2);
});

test('committed state survives a restart', async (t) => {
  const { clock, open } = createScene(t);
  const first = await open();
  first.put('breaker', 'a', { state: 'open' });
  await clock.advanceAsync(25);
  const second = await open();
  assert.deepEqual(await second.get('breaker', 'a'), { state: 'open' });
});

test('a store that can not be opened is degraded, warns once, continues in memory, and saves everything once it is open', async (t) => {
  const { clock, disk, warnings, open } = createScene(t, { refuse: 'read_only' });
  const store = await open();
  const seen: string[] = [];
  store.onHealthChange((health) => seen.push(faultOf(health)));
  assert.equal(faultOf(store.health), 'read_only');
  store.put('breaker', 'a', 1);
  store.put('usage', 'a', { calls: 1 });
  await clock.advanceAsync(600_000);
  store.put('usage', 'a', { calls: 2 });
  assert.equal(await store.get('breaker', 'a'), 1);
  assert.deepEqual(await store.get('usage', 'a'), { calls: 2 });
  assert.equal(await store.flush(), false);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /the faulty store is degraded \(read_only\)/);
  assert.deepEqual(seen, []);

  disk.heal();
  await clock.advanceAsync(STORE_TIMING.retryDelayMaxMs);
  assert.deepEqual(seen, ['ok']);
  assert.equal(await store.flush(), true);
  const restarted = await open();
  assert.deepEqual(await restarted.get('usage', 'a'), { calls: 2 });
});

test('the delay between reconnects grows from 250 ms to 30 s', async (t) => {
  const { clock, disk, open } = createScene(t, { refuse: 'unavailable' });
  await open();
  const before = disk.connections;
  await clock.advanceAsync(3_600_000);
  const perHour = disk.connections - before;
  assert.ok(perHour >= 115 && perHour <= 125, `${perHour} connections in an hour`);
});

test('a frozen disk blocks neither writes nor reads, and its connection is dropped after its timeout', async (t) => {
  const { clock, disk, open } = createScene(t);
  const store = await open();
  store.put('bucket', 'a', 1);
  await store.flush();
  disk.setFaults({ freezeRatio: 1 });
  store.put('bucket', 'b', 2);
  await clock.advanceAsync(25);
  const reading = store.getAll('bucket');
  const flushing = store.flush();
  await clock.advanceAsync(STORE_TIMING.readTimeoutMs);
  assert.deepEqual(await reading, new Map([['b', 2]]), 'unsaved state is readable; the rest is not');
  assert.equal(faultOf(store.health), 'ok', 'a slow commit is tolerated');
  await clock.advanceAsync(2_000);
  assert.equal(await flushing, false);
  await clock.advanceAsync(5_000);
  assert.equal(faultOf(store.health), 'timeout');
  disk.heal();
  await clock.advanceAsync(60_000);
  assert.deepEqual(
    await store.getAll('bucket'),
    new Map([
      ['b', 2],
      ['a', 1],
    ]),
  );
});

test('opening ends at its timeout if the disk hangs', async () => {
  const { clock, open } = createScene(undefined, { freezeRatio: 1 });
  const store = await open();
  assert.equal(faultOf(store.health), 'timeout');
  const closing = store.close();
  await clock.advanceAsync(STORE_TIMING.connectTimeoutMs);
  await closing;
});

test('closing ends at its timeouts if the disk hangs, and reports what was not saved', async () => {
  const { clock, disk, warnings, open } = createScene(undefined);
  const store = await open();
  disk.setFaults({ freezeRatio: 1 });
  store.put('bucket', 'a', 1);
  const closing = store.close();
  await clock.advanceAsync(STORE_TIMING.flushTimeoutMs + STORE_TIMING.closeTimeoutMs);
  await closing;
  assert.equal(clock.pendingTimers, 0);
  assert.match(warnings.at(-1) ?? '', /closed before all state was saved/);
});

test('closing a degraded store tries once more to save', async () => {
  const { clock, disk, open } = createScene(undefined, { refuse: 'locked' });
  const store = await open();
  store.put('bucket', 'a', 1);
  disk.heal();
  await store.close();
  assert.equal(clock.pendingTimers, 0);
  const restarted = await open();
  assert.equal(await restarted.get('bucket', 'a'), 1);
});

test('a write whose commit was not confirmed is not applied again over a later one of another process', async (t) => {
  const { clock, disk, open } = createScene(t);
  const [store, other] = [await open(), await open()];
  disk.setFaults({ lostReplyRatio: 1 });
  store.put('usage', 'a', { calls: 1 });
  await clock.advanceAsync(25);
  assert.equal(faultOf(store.health), 'io_error');
  assert.deepEqual(await store.get('usage', 'a'), { calls: 1 });
  disk.heal();
  other.put('usage', 'a', { calls: 2 });
  await clock.advanceAsync(1_000);
  assert.equal(faultOf(store.health), 'ok');
  assert.deepEqual(await store.get('usage', 'a'), { calls: 2 });
});

/** Reads take a second, and return what was stored at their start. */
async function openSlowReads(t: TestContext, clock: ManualClock) {
  const disk = createFaultyDisk({ clock, random: createSeededRandom(1) }).createBackend();
  const count = { reads: 0 };
  const backend: Backend = {
    connect(onLost) {
      const connection = disk.connect(onLost);
      const read = async function* (...args: Parameters<Connection['read']>): AsyncGenerator<ReadResult> {
        count.reads++;
        for await (const page of connection.read(...args)) {
          await new Promise<void>((resolve) => void clock.schedule(1_000, resolve));
          yield page;
        }
      };
      return { ...connection, read };
    },
  };
  const store = await openWriteBehindStore(backend, { clock, onWarning: assert.fail, kind: 'memory', name: 'slow reads' });
  t.after(() => store.close());
  return { store, count };
}

test('a read sees what became durable while it ran, and is not repeated', async (t) => {
  const clock = createManualClock({ epochMs: 1_000_000 });
  const { store, count } = await openSlowReads(t, clock);
  const expires = { expiresAtMs: 2_000_000 };
  for (const key of ['a', 'b', 'c']) store.put('usage', key, 1, expires);
  await store.flush();
  const scan = store.scan('usage', { fromMs: 0, toMs: 3_000_000 });
  for (const calls of [2, 3]) {
    await clock.advanceAsync(100);
    store.put('usage', 'a', calls, expires);
    store.put('usage', 'd', calls, expires);
    store.delete('usage', calls === 2 ? 'b' : 'c');
    assert.equal(await store.flush(), true);
  }
  await clock.advanceAsync(1_000);
  const { entries, isComplete } = await scan;
  assert.deepEqual([Object.fromEntries(entries), isComplete, count.reads], [{ a: 3, d: 3 }, true, 1]);
  assert.equal(clock.pendingTimers, 0);
});

test('a read during which too much became durable is repeated', async (t) => {
  const clock = createManualClock({ epochMs: 1_000_000 });
  const { store, count } = await openSlowReads(t, clock);
  const reading = store.getAll('usage');
  await clock.advanceAsync(10);
  for (let i = 0; i < 25_000; i++) store.put('usage', `${i}`, i);
  assert.equal(await store.flush(), true);
  await clock.advanceAsync(2_000);
  assert.deepEqual([(await reading).size, count.reads], [25_000, 2]);
});

test('a read of a store that is away says that it is incomplete', async (t) => {
  const { clock, disk, open } = createScene(t);
  const store = await open();
  store.put('usage', 'a', 1, { expiresAtMs: 2_000_000 });
  await store.flush();
  const range = { fromMs: 0, toMs: 3_000_000 };
  assert.equal((await store.scan('usage', range)).isComplete, true);
  disk.setFaults({ failureRatio: 1 });
  for (const isDown of [false, true]) {
    assert.equal(store.health.state === 'degraded', isDown);
    store.put('usage', 'b', 1, { expiresAtMs: 2_000_000 });
    const { entries, isComplete } = await store.scan('usage', range);
    assert.deepEqual([[...entries.keys()], isComplete], [['b'], false]);
    assert.equal(await store.replace('usage', 'c', 1, {}, new Map([['a', 1]])), false);
  }
  disk.heal();
  await clock.advanceAsync(60_000);
  assert.equal((await store.scan('usage', range)).entries.size, 2);
});

test('a lost idle connection is reopened, without a second warning for a second loss soon after', async (t) => {
  const { clock, disk, warnings, open } = createScene(t);
  const store = await open();
  for (let round = 0; round < 2; round++) {
    disk.cut();
    assert.equal(faultOf(store.health), 'crashed');
    await clock.advanceAsync(1_000);
    assert.equal(faultOf(store.health), 'ok');
  }
  assert.equal(warnings.length, 1);
});

test('unsaved state is bounded during an outage: the oldest is dropped, with one warning', async (t) => {
  const { disk, warnings, open } = createScene(t, { refuse: 'full' });
  const store = await open({ entriesMax: 100 });
  for (let index = 0; index < 1_000; index++) store.put('bucket', `${index}`, index);
  assert.equal(store.counters.dropped, 900);
  assert.equal((await store.getAll('bucket')).size, 100);
  assert.equal(warnings.filter((warning) => warning.includes('drops')).length, 1);
  disk.heal();
});

test('a flush whose state was dropped meanwhile returns false', async (t) => {
  const { clock, disk, open } = createScene(t);
  const store = await open({ entriesMax: 2 });
  disk.setFaults({ delayMs: [100, 100] });
  store.put('bucket', 'sent', 1);
  await clock.advanceAsync(25);
  store.put('bucket', 'a', 1);
  const flushing = store.flush();
  store.put('bucket', 'b', 1);
  store.put('bucket', 'c', 1);
  await clock.advanceAsync(1_000);
  assert.equal(await flushing, false);
});

test('a backlog of many batches is flushed completely', async (t) => {
  const { disk, open } = createScene(t);
  const store = await open();
  for (let index = 0; index < 20_000; index++) store.put('bucket', `${index}`, index);
  assert.equal(await store.flush(), true);
  assert.equal(disk.commits, 4);
  assert.equal((await store.getAll('bucket')).size, 20_000);
});

test('a listener that throws, or writes, does not affect the store', async (t) => {
  const { clock, disk, warnings, open } = createScene(t);
  const store = await open();
  const stop = store.onHealthChange(() => {
    store.put('bucket', 'from the listener', 1);
    throw new Error('boom');
  });
  disk.cut();
  stop();
  await clock.advanceAsync(1_000);
  assert.equal(faultOf(store.health), 'ok');
  assert.equal(await store.flush(), true);
  assert.equal(await store.get('bucket', 'from the listener'), 1);
  assert.equal(warnings.filter((warning) => warning.includes('listener')).length, 1);
});

test('the last state of every key survives any sequence of disk faults', async () => {
  const faults = fc.record({
    delayMs: fc.constantFrom<readonly [number, number]>([0, 0], [0, 40], [0, 12_000]),
    failureRatio: fc.constantFrom(0, 0.2),
    lostReplyRatio: fc.constantFrom(0, 0.3),
    freezeRatio: fc.constantFrom(0, 0.1),
    refuse: fc.constantFrom(null, null, 'locked' as const),
  });
  const step = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), key: fc.integer({ min: 0, max: 4 }), value: fc.integer() }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 15_000 }) }),
    fc.record({ kind: fc.constant('faults' as const), faults }),
    fc.record({ kind: fc.constantFrom('cut' as const, 'read' as const, 'flush' as const, 'delete' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), fc.integer(), async (steps, seed) => {
      const { clock, disk, open } = createScene(undefined, {}, seed);
      const store = await open();
      const puts = new Map<string, unknown>();
      for (const next of steps) {
        if (next.kind === 'put') {
          store.put('bucket', `${next.key}`, next.value);
          puts.set(`${next.key}`, next.value);
        } else if (next.kind === 'wait') await clock.advanceAsync(next.ms);
        else if (next.kind === 'faults') disk.setFaults(next.faults);
        else if (next.kind === 'cut') disk.cut();
        else if (next.kind === 'read') void store.getAll('bucket');
        else if (next.kind === 'flush') void store.flush();
        else {
          store.delete('bucket', '0');
          puts.delete('0');
        }
      }
      disk.heal();
      await clock.advanceAsync(120_000);
      assert.deepEqual(store.health, { state: 'ok' });
      const closing = store.close();
      await clock.advanceAsync(1_000);
      await closing;
      assert.equal(clock.pendingTimers, 0);
      const restarted = await open();
      assert.deepEqual(await restarted.getAll('bucket'), puts);
    }),
    { numRuns: 150 },
  );
});
