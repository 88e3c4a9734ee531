/** A server that accepts connections and never answers: each attempt to connect ends, and its connection with it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { parseRedisUrl } from '../../src/store/redis/address.ts';
import { createRedisShared } from '../../src/store/redis/redis-shared.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';

test('an aborted connection attempt closes its connection before the next one starts', async (t) => {
  const clock = createManualClock();
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const shared = createRedisShared(parseRedisUrl(url), clock);
  t.after(() => shared.leave([]));
  const next = (): Promise<Socket[]> => once(server, 'connection') as Promise<Socket[]>;
  let connection = next();
  shared.open({ message: () => {}, linked: () => assert.fail('it never responds') });
  for (let attempt = 0; attempt < 3; attempt++) {
    const [socket] = await connection;
    await once(socket!, 'data');
    const closed = once(socket!, 'close');
    clock.advance(2_000);
    await closed;
    connection = next();
    clock.advance(500);
  }
  const [last] = await connection;
  const closed = once(last!, 'close');
  clock.advance(2_000);
  await closed;
});
