/** Jobs on a real server: several instances on one store, times to live, the server's memory limit, a server that freezes or is empty. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { StoreFailure } from '../../src/store/backend.ts';
import type { JobStore, NewJob } from '../../src/store/jobs/job-store.ts';
import { parseRedisUrl } from '../../src/store/redis/address.ts';
import { connectRedis } from '../../src/store/redis/redis-client.ts';
import { createRedisJobs } from '../../src/store/redis/jobs/redis-jobs.ts';
import { skipWithoutRedis, startRedis, type RedisServer } from './server.ts';

const options = { skip: skipWithoutRedis };
const LIMITS = { bytesMax: 1e9, openJobsMax: 10 };
const result = { succeeded: true, status: 200, facts: {}, body: Buffer.from('{}'), error: null };
const identity = (pid: number) => ({ machine: `m${pid}`, pid, startedAtMs: 1 });

async function start(t: TestContext, ...args: readonly string[]): Promise<RedisServer> {
  const redis = await startRedis(...args);
  t.after(() => redis.stop());
  return redis;
}

function open(t: TestContext, url: string): JobStore {
  const store = createRedisJobs({ address: parseRedisUrl(url), clock: systemClock, isProcessGone: () => false });
  t.after(() => store.close());
  return store;
}

function newJob(id: string): NewJob {
  const createdAtMs = Date.now();
  const common = { kind: 'k', client: 'web', dialect: 'd', path: '/p', priority: 'job', data: {} };
  return { id, ...common, createdAtMs, endsAtMs: createdAtMs + 3_600_000 };
}

/** A job in progress with so many items. */
async function begin(store: JobStore, runner: number, count: number, bytes = 10): Promise<void> {
  await store.createJob(newJob('j'), LIMITS);
  await store.claimJob('j', runner);
  const items = Array.from({ length: count }, (_, n) => ({ n, customId: `${n}`, model: 'm', body: new Uint8Array(bytes) }));
  await store.addItems('j', runner, items, LIMITS);
  await store.changeJob('j', ['validating'], { state: 'in_progress' });
}

const query = (runner: number, countMax = 7) => ({ runner, job: 'j', model: 'm', countMax, bytesMax: 1e6, nowMs: Date.now() });

void test('two instances share the items of a job: each goes to one of them', options, async (t) => {
  const redis = await start(t);
  const stores = [open(t, redis.url), open(t, redis.url)];
  const runners = await Promise.all(stores.map((store, i) => store.register(identity(i), Date.now())));
  await begin(stores[0]!, runners[0]!, 300);
  const seen: number[] = [];
  const takeAll = async (store: JobStore, runner: number): Promise<void> => {
    for (let taken = 1; taken > 0;) {
      const { items } = await store.lease(query(runner));
      taken = items.length;
      for (const item of items) {
        seen.push(item.n);
        assert.equal(await store.markSent(item), true);
        assert.notEqual(await store.completeItem(item, result), 'lost');
      }
    }
  };
  await Promise.all(stores.map((store, i) => takeAll(store, runners[i]!)));
  assert.deepEqual(
    seen.sort((a, b) => a - b),
    Array.from({ length: 300 }, (_, n) => n),
  );
  const job = await stores[1]!.getJob('web', 'j');
  assert.deepEqual([job!.total, job!.succeeded], [300, 300]);
});

void test('a runner that is not registered is handed nothing: nothing would return what it holds', options, async (t) => {
  const redis = await start(t);
  const store = open(t, redis.url);
  const runner = await store.register(identity(1), Date.now());
  await begin(store, runner, 2);
  await store.unregister(runner, Date.now());
  assert.deepEqual((await store.lease(query(runner))).items, []);
  await store.beat({ runner, nowMs: Date.now(), silenceMaxMs: 15_000, ...identity(1) });
  assert.equal((await store.lease(query(runner))).items.length, 2);
});

void test('every key has a time to live, and nothing is left of what was deleted', options, async (t) => {
  const redis = await start(t);
  const store = open(t, redis.url);
  const runner = await store.register(identity(1), Date.now());
  await begin(store, runner, 200);
  await store.createFile({ id: 'f', client: 'web', createdAtMs: Date.now(), expiresAtMs: Date.now() + 3_600_000 }, LIMITS);
  for (const index of [0, 1, 2]) await store.appendFile('f', index, new Uint8Array(1_000), LIMITS);
  await store.finishFile('f', { purpose: 'batch', filename: 'f', bytes: 3_000, expiresAtMs: Date.now() + 3_600_000 });
  const { items } = await store.lease(query(runner, 20));
  for (const item of items.slice(0, 5)) await store.completeItem(item, result);
  await store.requeueItem(items[5]!, { notBeforeMs: Date.now() + 60_000, round: true, strike: false, note: 'busy' });
  await store.restartEvents(items[6]!);
  await store.appendEvents(items[6]!, { first: 0, count: 1, bytes: Buffer.from('a') });
  const client = await connectRedis({ address: parseRedisUrl(redis.url), connectTimeoutMs: 1_000, onLost: () => {} });
  t.after(() => client.destroy());
  const keys = async (): Promise<string[]> => ((await client.call('KEYS', '*')) as string[]).sort();
  const eternal: string[] = [];
  for (const key of await keys()) if (Number(await client.call('PTTL', key)) < 0) eternal.push(key);
  assert.deepEqual(eternal, []);
  await store.deleteJob('web', 'j', ['in_progress']);
  await store.deleteFile('web', 'f');
  while (await store.sweep());
  await store.unregister(runner, Date.now());
  const open_ = await store.beat({
    runner: await store.register(identity(2), Date.now()),
    nowMs: Date.now(),
    silenceMaxMs: 1,
    ...identity(2),
  });
  assert.deepEqual(open_, []);
  const left = (await keys()).map((key) => key.replace('{breakwater:jobs}:', '').replace(/:\d+$/, ''));
  assert.deepEqual(left, ['live', 'numbers', 'runner']);
});

void test('at its memory limit the server takes no new files, and what is there is completed and deleted', options, async (t) => {
  const redis = await start(t, '--maxmemory', '6mb', '--maxmemory-policy', 'noeviction');
  const store = open(t, redis.url);
  const runner = await store.register(identity(1), Date.now());
  await begin(store, runner, 20);
  const file = { id: 'f', client: 'web', createdAtMs: Date.now(), expiresAtMs: Date.now() + 3_600_000 };
  await store.createFile(file, LIMITS);
  const isFull = (error: unknown): boolean => error instanceof StoreFailure && error.fault === 'full';
  let pieces = 0;
  await assert.rejects(async () => {
    for (; pieces < 100; pieces++) await store.appendFile('f', pieces, new Uint8Array(100_000), LIMITS);
  }, isFull);
  assert.ok(pieces * 100_000 <= 3.2 * 1024 * 1024, `${pieces} pieces: the rest is for the state of the fleet`);
  await command(redis.port, 'CONFIG SET maxmemory 1mb');
  await assert.rejects(store.appendFile('f', pieces, new Uint8Array(100_000), LIMITS), isFull);
  const { items } = await store.lease(query(runner));
  assert.equal(await store.markSent(items[0]!), true);
  assert.equal(await store.completeItem(items[0]!, result), 'done');
  await store.abandonFile('f');
  while (await store.sweep());
  await command(redis.port, 'CONFIG SET maxmemory 6mb');
  assert.equal(await store.createFile(file, LIMITS), true);
});

void test('a call on a frozen server fails within its time, and works again once the server does', options, async (t) => {
  const redis = await start(t);
  const store = open(t, redis.url);
  const runner = await store.register(identity(1), Date.now());
  await begin(store, runner, 2);
  const { items } = await store.lease(query(runner));
  redis.process.kill('SIGSTOP');
  const startedAt = performance.now();
  await assert.rejects(store.markSent(items[0]!), StoreFailure);
  assert.ok(performance.now() - startedAt < 3_000);
  const nextAt = performance.now();
  await assert.rejects(store.markSent(items[1]!), StoreFailure);
  assert.ok(performance.now() - nextAt < 100, 'the next one fails at once');
  redis.process.kill('SIGCONT');
  for (;;) {
    const sent = await store.markSent(items[1]!).catch(() => null);
    if (sent !== null) break;
    assert.ok(performance.now() - nextAt < 8_000, 'it is not used again');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

void test('after a loss of all data nothing is taken for something else', options, async (t) => {
  const redis = await start(t);
  const store = open(t, redis.url);
  const runner = await store.register(identity(1), Date.now());
  await begin(store, runner, 2);
  const { items } = await store.lease(query(runner));
  await command(redis.port, 'FLUSHALL');
  assert.equal(await store.completeItem(items[0]!, result), 'lost');
  assert.equal(await store.getJob('web', 'j'), null);
  assert.notEqual(await store.register(identity(2), Date.now()), runner);
  assert.deepEqual(await store.beat({ runner, nowMs: Date.now(), silenceMaxMs: 15_000, ...identity(1) }), []);
  await begin(store, runner, 2);
  assert.equal((await store.lease(query(runner))).items.length, 2);
});

void test('runners that could not reach the store for long are not taken for dead at its return', options, async (t) => {
  const redis = await start(t);
  const store = open(t, redis.url);
  const [one, two] = [await store.register(identity(1), Date.now()), await store.register(identity(2), Date.now())];
  await begin(store, one, 2);
  const { items } = await store.lease(query(one));
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const beat = () => store.beat({ runner: two, nowMs: Date.now(), silenceMaxMs: 1_000, ...identity(2) });
  await wait(1_100);
  await beat();
  assert.equal(await store.markSent(items[0]!), true, 'all were silent: the store was away');
  const startedAt = performance.now();
  while ((await store.lease(query(two))).items.length === 0) {
    assert.ok(performance.now() - startedAt < 10_000, 'one that alone is silent is dead');
    await wait(50);
    await beat();
  }
  assert.equal(await store.completeItem(items[0]!, result), 'lost');
});

async function command(port: number, text: string): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${text}\r\n`);
  const [reply] = (await once(socket, 'data')) as [Buffer];
  assert.equal(reply.toString(), '+OK\r\n');
  socket.destroy();
}
