/** A server at its memory limit: the store says so once, keeps state in memory, and recovers by itself. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { openStore } from '../../src/store/open-store.ts';
import { toRedisFailure } from '../../src/store/redis/redis-client.ts';
import { eventually } from '../e2e/world.ts';
import { startFleet } from './fleet-world.ts';
import { skipWithoutRedis, startRedis } from './server.ts';

const options = { skip: skipWithoutRedis };

async function setMaxMemory(port: number, bytes: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`CONFIG SET maxmemory ${bytes}\r\n`);
  const [reply] = (await once(socket, 'data')) as [Buffer];
  assert.equal(reply.toString(), '+OK\r\n');
  socket.destroy();
}

for (const [what, write] of [
  ['state', (store) => store.put('breaker', 'a', { state: 'open' })],
  ['a cached response', (store) => store.responses!.put('k', Buffer.from('head'), Buffer.from('body'), Date.now() + 60_000)],
] as const satisfies readonly (readonly [string, (store: Awaited<ReturnType<typeof openStore>>) => void])[]) {
  void test(`writing ${what} to a full server is one warning with its cure, and is repeated once there is room`, options, async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const warnings: string[] = [];
    const store = await openStore(redis.url, { clock: systemClock, onWarning: (message) => void warnings.push(message) });
    t.after(() => store.close());
    store.put('breaker', 'before', 1);
    assert.equal(await store.flush(), true);
    await setMaxMemory(redis.port, 1);
    write(store);
    await eventually(() => store.health.state === 'degraded', 'the fault');
    write(store);
    assert.equal(store.health.state === 'degraded' && store.health.fault, 'full');
    await setMaxMemory(redis.port, 0);
    await eventually(() => store.health.state === 'ok', 'it recovers');
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /is degraded \(full\): .* raise its maxmemory, or free memory\. State is kept in memory until it recovers$/);
    if (what === 'state') {
      assert.equal(await store.flush(), true);
      assert.deepEqual(await store.get('breaker', 'a'), { state: 'open' });
    }
  });
}

void test('operators see a full store, and its recovery', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const fleet = await startFleet(t, { url: redis.url });
  const member = await fleet.join();
  type Health = { store: Record<string, unknown>; fleet: Record<string, unknown> };
  const health = async (): Promise<Health> => (await (await fetch(`${member.url}/admin/health`)).json()) as Health;
  assert.deepEqual((await health()).store, { kind: 'redis', state: 'ok', fault: null, message: null });
  await setMaxMemory(redis.port, 1);
  assert.equal((await member.ask({}, { 'idempotency-key': 'k' })).status, 200);
  await eventually(() => member.store.health.state === 'degraded', 'the fault');
  const { store, fleet: shown } = await health();
  assert.deepEqual([store['fault'], typeof store['since']], ['full', 'string']);
  assert.match(String(store['message']), /maxmemory/);
  assert.deepEqual(shown, { instance: member.gateway.fleet!.member, instances: 1, isLinked: true, differences: null });
  await setMaxMemory(redis.port, 0);
  await eventually(() => member.store.health.state === 'ok', 'it recovers');
  assert.ok(member.eventsOf('lifecycle').some(({ state }) => state === 'store_recovered'));
});

test('error replies for which there is a cure are described by it, without the script', () => {
  const full = "OOM command not allowed when used memory > 'maxmemory'. script: 1b2c, on @user_script:7.";
  const { fault, message } = toRedisFailure(new Error(full));
  assert.deepEqual([fault, message], ['full', 'the server is at its memory limit (OOM): raise its maxmemory, or free memory']);
  const readOnly = "READONLY You can't write against a read only replica. script: 1b2c, on @user_script:13.";
  assert.match(toRedisFailure(new Error(readOnly)).message, /name the primary in store/);
  assert.equal(toRedisFailure(new Error('ERR wrong. script: 1b2c, on @user_script:3.')).message, 'ERR wrong.');
  const unknown =
    'self-signed certificate in certificate chain; if the root CA is installed locally, try running Node.js with --use-system-ca';
  assert.match(toRedisFailure(new Error(unknown)).message, /NODE_EXTRA_CA_CERTS/);
  assert.equal(toRedisFailure(new Error('ERR max number of clients reached')).message, 'ERR max number of clients reached');
});
