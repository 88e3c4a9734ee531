/** A real store that is stopped, frozen, restarted empty, full or slow under load: no request fails by it, and the provider's limit holds. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { eventually } from '../e2e/world.ts';
import { startFleet, type FleetMember } from './fleet-world.ts';
import { skipWithoutRedis, startRedis, type RedisServer } from './server.ts';

const options = { skip: skipWithoutRedis };
/** Four times the demand, so that requests do not wait for the limit. */
const LIMIT = 3_000;

interface Fault {
  readonly name: string;
  readonly begin: (redis: RedisServer, proxy: DelayingProxy) => void | Promise<void>;
  readonly end: (redis: RedisServer, proxy: DelayingProxy) => void | Promise<void>;
}

const FAULTS: readonly Fault[] = [
  { name: 'stopped, and back without data', begin: (redis) => redis.stop(), end: (redis) => redis.start() },
  {
    name: 'frozen',
    begin: (redis) => void redis.process.kill('SIGSTOP'),
    end: (redis) => void redis.process.kill('SIGCONT'),
  },
  { name: '500 ms slow', begin: (_, proxy) => void (proxy.delayMs = 500), end: (_, proxy) => void (proxy.delayMs = 0) },
  {
    name: 'at its memory limit',
    begin: (redis) => command(redis.port, 'CONFIG SET maxmemory 1'),
    end: (redis) => command(redis.port, 'CONFIG SET maxmemory 0'),
  },
];

for (const { name, begin, end } of FAULTS) {
  void test(`a store that is ${name} fails no request, exceeds no limit, and is used again within 5 s`, options, async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const proxy = await startProxy(t, redis.port);
    const limits = { requestsPerMinute: LIMIT };
    const fleet = await startFleet(t, { url: `redis://127.0.0.1:${proxy.port}`, storm: { limits }, provider: { limits } });
    const members = [await fleet.join(), await fleet.join()];
    const statuses = new Map<number, number>();
    const during = async (count: number, gapMs: number): Promise<void> => {
      const asked: Promise<void>[] = [];
      for (let i = 0; i < count; i++) {
        asked.push(ask(members[i % 2]!, statuses));
        await new Promise((resolve) => setTimeout(resolve, gapMs));
      }
      await Promise.all(asked);
    };
    await during(20, 50);
    await begin(redis, proxy);
    await during(50, 80);
    await end(redis, proxy);
    const backAt = performance.now();
    while (!members.every(({ gateway, store }) => gateway.fleet?.isLinked === true && store.health.state === 'ok')) {
      assert.ok(performance.now() - backAt < 5_000, 'it is not used again within 5 s');
      await during(2, 50);
    }
    await during(20, 50);
    assert.deepEqual([...statuses.keys()], [200]);
    assert.equal(fleet.storm.stats().violations.total, 0);
    for (const member of members) {
      const lost = member.eventsOf('lifecycle').filter(({ state }) => state === 'fleet_lost');
      assert.ok(lost.length <= 2, `said ${lost.length} times`);
    }
  });
}

function isLinked({ gateway }: FleetMember): boolean {
  return gateway.fleet?.isLinked === true;
}

async function ask(member: FleetMember, statuses: Map<number, number>): Promise<void> {
  const { status, ms } = await member.ask({}, { 'x-breakwater-deadline-ms': '5000' });
  statuses.set(status, (statuses.get(status) ?? 0) + 1);
  // The store does not delay requests.
  assert.ok(ms < 2_000, `a request took ${ms} ms`);
}

async function command(port: number, text: string): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${text}\r\n`);
  const [reply] = (await once(socket, 'data')) as [Buffer];
  assert.equal(reply.toString(), '+OK\r\n');
  socket.destroy();
}

interface DelayingProxy {
  readonly port: number;
  /** Additional delay of replies. */
  delayMs: number;
}

async function startProxy(t: TestContext, target: number): Promise<DelayingProxy> {
  const sockets = new Set<Socket>();
  const proxy = { port: 0, delayMs: 0 };
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (bytes) => upstream.write(bytes));
    upstream.on('data', (bytes) => void setTimeout(() => client.writable && client.write(bytes), proxy.delayMs));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return Object.assign(proxy, { port: (server.address() as { port: number }).port });
}

void test('an instance that starts without its store serves, and joins the fleet when the store is available', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  await redis.stop();
  const fleet = await startFleet(t, { url: redis.url, provider: { limits: { requestsPerMinute: LIMIT } } });
  const member = await fleet.join();
  assert.equal((await member.ask()).status, 200);
  assert.ok(!isLinked(member));
  await redis.start();
  const upAt = performance.now();
  while (!isLinked(member)) {
    assert.ok(performance.now() - upAt < 5_000, 'it does not join');
    assert.equal((await member.ask()).status, 200);
  }
});

void test('the shares of an instance that leaves are available at once', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const fleet = await startFleet(t, { url: redis.url, provider: { limits: { concurrency: 2 } } });
  const [first, second] = [await fleet.join(), await fleet.join()];
  for (let i = 0; i < 4; i++) assert.equal((await first.ask()).status, 200);
  await first.close();
  const answers = await Promise.all(Array.from({ length: 4 }, () => second.ask({}, { 'x-breakwater-deadline-ms': '3000' })));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200],
  );
  await eventually(() => second.gateway.fleet!.members.length === 1, 'one member');
});
