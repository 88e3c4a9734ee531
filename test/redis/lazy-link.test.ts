/** A connection that is opened on first use, to a server that stops to answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { parseRedisUrl } from '../../src/store/redis/address.ts';
import { LazyLink } from '../../src/store/redis/lazy-link.ts';
import type { RedisClient } from '../../src/store/redis/redis-client.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';

/** Answers each command with OK; a connection in `hanging` is not answered, and stays open when the client closes its side. */
async function stage(t: TestContext) {
  const hanging = new Set<Socket>();
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      if (hanging.has(socket)) return;
      const commands = data.toString().match(/^\*\d+\r$/gm)?.length ?? 0;
      socket.write('+OK\r\n'.repeat(commands));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const clock = createManualClock();
  const url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const link = new LazyLink(parseRedisUrl(url), clock);
  t.after(() => link.close());
  return { clock, link, hanging, sockets };
}

const ping = (client: RedisClient): Promise<unknown> => client.call('PING');

test('a call that fails on an earlier connection leaves the present one open', async (t) => {
  const { clock, link, hanging, sockets } = await stage(t);
  await link.use('the first', 1_000, ping);
  hanging.add(sockets[0]!);
  const short = link.use('a short call', 100, ping);
  let fail: (error: Error) => void = () => {};
  const long = link.use('a long call', 60_000, () => new Promise((_, reject) => (fail = reject)));
  await Promise.resolve();
  await new Promise(setImmediate);
  clock.advance(100);
  await assert.rejects(short, { fault: 'timeout' });
  clock.advance(1_000);
  assert.equal(await link.use('the next', 1_000, ping), 'OK');
  const present = await link.connect();
  fail(new Error('Connection is closed.'));
  await assert.rejects(long);
  assert.equal(await link.connect(), present);
  assert.equal(await link.use('one more', 1_000, ping), 'OK');
  assert.equal(sockets.length, 2);
});

test('a dropped connection whose server does not answer is closed without delay', { timeout: 10_000 }, async (t) => {
  const { clock, link, hanging, sockets } = await stage(t);
  await link.use('the first', 1_000, ping);
  hanging.add(sockets[0]!);
  const short = link.use('a short call', 100, ping);
  const long = link.use('a long call', 60_000, ping);
  await new Promise(setImmediate);
  const startedAt = performance.now();
  clock.advance(100);
  await assert.rejects(short, { fault: 'timeout' });
  await assert.rejects(long);
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < 1_000, `${tookMs} ms`);
});
