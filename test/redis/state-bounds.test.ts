/** The small state in Redis is bounded by entries and by bytes, and instances that start without it keep a limit together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { parseRedisUrl } from '../../src/store/redis/address.ts';
import { connectRedis } from '../../src/store/redis/redis-client.ts';
import { openRedisStore } from '../../src/store/redis/redis-store.ts';
import { startFleet } from './fleet-world.ts';
import { skipWithoutRedis, startRedis } from './server.ts';

const options = { skip: skipWithoutRedis };
const MB = 1024 * 1024;

void test('a collection takes so many bytes, and then loses what expires first', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const address = parseRedisUrl(redis.url);
  const store = await openRedisStore(address, { clock: systemClock, onWarning: () => {}, collectionBytesMax: MB });
  t.after(() => store.close());
  const value = 'x'.repeat(100_000);
  const nowMs = Date.now();
  for (let i = 0; i < 30; i++) {
    store.put('responses', `r${i}`, value, { expiresAtMs: nowMs + 60_000 + i });
    if (i % 5 === 4) assert.equal(await store.flush(), true);
  }
  store.put('other', 'o', value);
  // The same entry again takes its room once.
  for (let i = 0; i < 30; i++) {
    store.put('responses', 'r29', value, { expiresAtMs: nowMs + 90_000 });
    assert.equal(await store.flush(), true);
  }
  const left = [...(await store.getAll('responses')).keys()].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  assert.deepEqual(
    left,
    Array.from({ length: 10 }, (_, i) => `r${20 + i}`),
  );
  assert.equal(await store.get('other', 'o'), value);
  const client = await connectRedis({ address, connectTimeoutMs: 1_000, onLost: () => {} });
  t.after(() => client.destroy());
  const bytesOf = async (): Promise<number> => Number(await client.call('GET', '{breakwater}:index:responses.bytes'));
  assert.equal(await bytesOf(), 10 * (100_002 + 3));
  for (const key of left) store.delete('responses', key);
  store.put('responses', 'gone', value, { expiresAtMs: Date.now() + 50 });
  assert.equal(await store.flush(), true);
  await new Promise((resolve) => setTimeout(resolve, 60));
  store.put('responses', 'small', 1, { expiresAtMs: Date.now() + 60_000 });
  assert.equal(await store.flush(), true);
  assert.equal(await bytesOf(), 6, 'what has expired is given back');
});

void test('a collection of many pages is read while this process writes, and the connection stays', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const store = await openRedisStore(parseRedisUrl(redis.url), { clock: systemClock, onWarning: assert.fail });
  t.after(() => store.close());
  for (let i = 0; i < 6_000; i++) store.put('usage', `u${i}`, { calls: 1 });
  assert.equal(await store.flush(), true);
  for (let round = 2; round < 6; round++) {
    const reading = store.getAll('usage');
    let isOver = false;
    void reading.then(() => (isOver = true));
    let calls = 0;
    while (!isOver) {
      store.put('usage', 'u0', { calls: ++calls });
      await store.flush();
    }
    const found = await reading;
    assert.ok(calls > 1, 'batches were applied meanwhile');
    assert.equal(found.size, 6_000);
  }
  assert.deepEqual(store.health, { state: 'ok' });
});

void test('instances that start while the store is away keep a limit together, as many as are expected', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  await redis.stop();
  const limits = { concurrency: 6 };
  const fleet = await startFleet(t, {
    url: redis.url,
    storm: { limits, timing: { plainMs: 150 } },
    provider: { limits },
    config: { cluster: { expectedInstances: 3 } },
  });
  const members = [await fleet.join(), await fleet.join(), await fleet.join()];
  const answers = await Promise.all(members.flatMap((member) => Array.from({ length: 8 }, () => member.ask())));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.deepEqual([fleet.storm.stats().violations.total, fleet.storm.stats().maxRunning], [0, 6]);
});
