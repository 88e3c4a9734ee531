/** The contract of every store; each driver's tests call it with a function that opens one. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createManualClock, type ManualClock } from '../testing/manual-clock.ts';
import type { Store, StoreLimits } from './store.ts';

export interface StoreUnderTest {
  readonly name: string;
  /** Opens a new, empty store. */
  readonly open: (t: TestContext, clock: ManualClock, limits?: Partial<StoreLimits>) => Promise<Store>;
}

export function testStoreContract(driver: StoreUnderTest): void {
  for (const { title, run, limits } of stories) {
    void test(`${driver.name}: ${title}`, async (t) => {
      const clock = createManualClock({ epochMs: 1_000_000 });
      const store = await driver.open(t, clock, limits);
      t.after(() => store.close());
      assert.deepEqual(store.health, { state: 'ok' });
      await run(store, clock);
    });
  }
}

type Run = (store: Store, clock: ManualClock) => Promise<void>;

const stories: { title: string; run: Run; limits: Partial<StoreLimits> | undefined }[] = [];

function story(title: string, run: Run, limits?: Partial<StoreLimits>): void {
  stories.push({ title, run, limits });
}

/** Checks before and after the writes are durable: the results must be the same. */
async function bothWays(store: Store, look: () => Promise<void>): Promise<void> {
  await look();
  assert.equal(await store.flush(), true);
  await look();
}

story('an unknown key is undefined, an unknown collection is empty', async (store) => {
  assert.equal(await store.get('breaker', 'a'), undefined);
  assert.equal((await store.getAll('breaker')).size, 0);
});

story('a value is read back as its JSON round trip', async (store) => {
  const value = { state: 'open', until: 12.5, ok: true, none: null, list: [1, 'ä', { deep: '😀' }], text: 'a\0b\ud800c' };
  store.put('breaker', 'openai/gpt-5', value);
  await bothWays(store, async () => assert.deepEqual(await store.get('breaker', 'openai/gpt-5'), value));
});

story('the last write wins', async (store) => {
  store.put('bucket', 'a', 1);
  await store.flush();
  store.put('bucket', 'a', 2);
  store.put('bucket', 'a', 3);
  await bothWays(store, async () => assert.equal(await store.get('bucket', 'a'), 3));
});

story('a value is copied when it is written', async (store) => {
  const value = { level: 1 };
  store.put('bucket', 'a', value);
  value.level = 2;
  await bothWays(store, async () => assert.deepEqual(await store.get('bucket', 'a'), { level: 1 }));
});

story('a value that was read can be changed without effect on the store', async (store) => {
  store.put('bucket', 'a', { level: 1 });
  const read = (await store.get('bucket', 'a')) as { level: number };
  read.level = 5;
  assert.deepEqual(await store.get('bucket', 'a'), { level: 1 });
});

story('collections are separate, and keys may be any text', async (store) => {
  const keys = ['', ' ', 'a/b:c', 'a\0b', "'; --", 'ü😀', '__proto__', 'x'.repeat(1_024)];
  for (const key of keys) {
    store.put('one', key, `1${key}`);
    store.put('two', key, `2${key}`);
  }
  await bothWays(store, async () => {
    for (const key of keys) assert.equal(await store.get('one', key), `1${key}`);
    assert.deepEqual([...(await store.getAll('two')).keys()].sort(), [...keys].sort());
  });
});

story('a deleted entry can be written again', async (store) => {
  store.put('quarantine', 'key', 1);
  await store.flush();
  store.delete('quarantine', 'key');
  store.delete('quarantine', 'never there');
  await bothWays(store, async () => {
    assert.equal(await store.get('quarantine', 'key'), undefined);
    assert.equal((await store.getAll('quarantine')).size, 0);
  });
  store.put('quarantine', 'key', 2);
  await bothWays(store, async () => assert.equal(await store.get('quarantine', 'key'), 2));
});

story('an entry expires by the wall clock', async (store, clock) => {
  store.put('cooldown', 'a', 1, { expiresAtMs: 1_000_500 });
  store.put('cooldown', 'b', 2);
  await store.flush();
  store.put('cooldown', 'c', 3, { expiresAtMs: 1_000_500 });
  clock.advance(499);
  assert.equal((await store.getAll('cooldown')).size, 3);
  assert.equal(await store.get('cooldown', 'a'), 1);
  clock.advance(1);
  await bothWays(store, async () => {
    assert.deepEqual(await store.getAll('cooldown'), new Map([['b', 2]]));
    assert.equal(await store.get('cooldown', 'a'), undefined);
    assert.equal(await store.get('cooldown', 'c'), undefined);
  });
});

const within = (fromMs: number, toMs: number) => ({ fromMs, toMs });

story('entries are read by when they expire, both ends included', async (store, clock) => {
  for (const [key, expiresAtMs] of Object.entries({ a: 1_001_000, b: 1_002_000, c: 1_003_000, d: 1_004_000 }))
    store.put('usage', key, { key }, { expiresAtMs });
  store.put('usage', 'never', 1);
  store.put('other', 'b', 1, { expiresAtMs: 1_002_000 });
  await bothWays(store, async () => {
    const { entries, isComplete } = await store.scan('usage', within(1_002_000, 1_003_000));
    assert.deepEqual(Object.fromEntries(entries), { b: { key: 'b' }, c: { key: 'c' } });
    assert.equal(isComplete, true);
    assert.equal((await store.scan('nothing', within(0, 2_000_000))).entries.size, 0);
  });
  store.put('usage', 'b', { key: 'moved' }, { expiresAtMs: 1_009_000 });
  store.put('usage', 'd', { key: 'moved' }, { expiresAtMs: 1_002_500 });
  store.delete('usage', 'c');
  await bothWays(store, async () =>
    assert.deepEqual([...(await store.scan('usage', within(1_002_000, 1_003_000))).entries], [['d', { key: 'moved' }]]),
  );
  clock.advance(2_500);
  assert.equal((await store.scan('usage', within(1_002_000, 1_003_000))).entries.size, 0, 'expired');
});

story('thousands of entries are read in full', async (store, clock) => {
  for (let index = 0; index < 3_300; index++) store.put('usage', `${index}`, index, { expiresAtMs: 2_000_000 + (index % 3) });
  await bothWays(store, async () => {
    const reading = store.scan('usage', within(2_000_000, 2_000_001));
    let isOver = false;
    void reading.then(() => (isOver = true));
    while (!isOver) await clock.advanceAsync(0); // one slice after the other
    const { entries } = await reading;
    assert.equal(entries.size, 2_200);
    assert.ok([...entries].every(([key, value]) => value === Number(key)));
  });
});

story('entries are replaced by one, all or none', async (store) => {
  const expires = { expiresAtMs: 1_500_000 };
  for (const key of ['a', 'b', 'c']) store.put('usage', key, { calls: 1 }, expires);
  await store.flush();
  const some = new Map<string, unknown>(['a', 'b'].map((key) => [key, { calls: 1 }]));
  const all = async () => Object.fromEntries(await store.getAll('usage'));
  for (const [key, value] of [['b', { calls: 2 }] as const, ['gone', 1] as const]) {
    const wrong = new Map(some).set(key, value);
    assert.equal(await store.replace('usage', 'sum', { calls: 2 }, expires, wrong), false);
    assert.deepEqual(await all(), { a: { calls: 1 }, b: { calls: 1 }, c: { calls: 1 } });
  }
  assert.equal(await store.replace('usage', 'sum', { calls: 2 }, expires, some), true);
  assert.deepEqual(await all(), { c: { calls: 1 }, sum: { calls: 2 } });
  assert.equal(await store.replace('usage', 'sum', { calls: 2 }, expires, some), false, 'once only');
  const rest = new Map(await store.getAll('usage'));
  assert.equal(await store.replace('usage', 'sum', { calls: 3 }, expires, rest), true, 'in place of an earlier one');
  assert.deepEqual(await all(), { sum: { calls: 3 } });
  store.put('usage', 'sum', { calls: 4 }, expires);
  store.delete('usage', 'sum');
  await bothWays(store, async () => assert.deepEqual(await all(), {}));
});

story('a later put without expiry removes the expiry', async (store, clock) => {
  store.put('cooldown', 'a', 1, { expiresAtMs: 1_000_500 });
  await store.flush();
  store.put('cooldown', 'a', 2);
  clock.advance(1_000);
  await bothWays(store, async () => assert.equal(await store.get('cooldown', 'a'), 2));
});

story('the last put or delete wins, whenever flushes happen', async (store) => {
  let expected: unknown;
  for (let step = 1; step <= 60; step++) {
    if (step % 9 === 0) store.delete('usage', 'a');
    else store.put('usage', 'a', { calls: step });
    expected = step % 9 === 0 ? undefined : { calls: step };
    if (step % 7 === 0) await store.flush();
    if (step % 5 === 0) void store.flush();
    if (step % 3 === 0) assert.deepEqual(await store.get('usage', 'a'), expected);
  }
  await bothWays(store, async () => assert.deepEqual(await store.get('usage', 'a'), expected));
});

story('an invalid value is refused and counted, never thrown', async (store) => {
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  for (const value of [undefined, () => {}, 1n, cycle]) store.put('bucket', 'a', value);
  store.put('bucket', 'a', 1, { expiresAtMs: Number.NaN });
  store.put('bucket', 'a', 'x'.repeat(300_000));
  store.put('bucket', 'k'.repeat(1_025), 1);
  await store.flush();
  assert.equal(store.counters.refused, 7);
  assert.equal(store.counters.accepted, 0);
  assert.equal((await store.getAll('bucket')).size, 0);
});

story('a hundred thousand writes to a hundred keys are merged', async (store) => {
  for (let index = 0; index < 100_000; index++) store.put('bucket', `key ${index % 100}`, { level: index });
  assert.equal(await store.flush(), true);
  assert.deepEqual(store.counters, { accepted: 100_000, coalesced: 99_900, dropped: 0, refused: 0 });
  const levels = await store.getAll('bucket');
  assert.equal(levels.size, 100);
  assert.deepEqual(levels.get('key 99'), { level: 99_999 });
});

story(
  'beyond the limit of entries the oldest are dropped and counted, and a rewritten one counts as new',
  async (store) => {
    for (let index = 0; index < 10; index++) store.put('bucket', `${index}`, index);
    store.put('bucket', '0', 'again');
    store.put('bucket', '10', 10);
    store.put('bucket', '11', 11);
    assert.equal(store.counters.dropped, 2);
    const left = await store.getAll('bucket');
    assert.deepEqual([...left.keys()].sort(), ['0', '10', '11', '3', '4', '5', '6', '7', '8', '9']);
  },
  { entriesMax: 10 },
);

story(
  'beyond the limit of size the oldest are dropped',
  async (store) => {
    for (let index = 0; index < 5; index++) store.put('b', `${index}`, 'x'.repeat(300));
    assert.equal(store.counters.dropped, 2);
    assert.deepEqual([...(await store.getAll('b')).keys()], ['2', '3', '4']);
  },
  { charactersMax: 1_000 },
);

story('after close writes are refused and reads return nothing; closing again has no effect', async (store) => {
  store.put('bucket', 'a', 1);
  await store.close();
  assert.equal(await store.replace('bucket', 'b', 1, {}, new Map()), false);
  store.put('bucket', 'a', 2);
  store.delete('bucket', 'a');
  assert.equal(store.counters.refused, 2);
  assert.equal((await store.scan('bucket', within(0, Infinity))).isComplete, false);
  assert.equal(await store.get('bucket', 'a'), undefined);
  assert.equal((await store.getAll('bucket')).size, 0);
  assert.equal(await store.flush(), true);
  await store.close();
});

story('an idle or closed store has no timer pending', async (store, clock) => {
  store.put('bucket', 'a', 1);
  await store.flush();
  await store.get('bucket', 'a');
  assert.equal(clock.pendingTimers, 0);
  store.put('bucket', 'a', 2);
  await store.close();
  assert.equal(clock.pendingTimers, 0);
});
