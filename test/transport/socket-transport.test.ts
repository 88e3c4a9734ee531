/** Which connection a call gets. Time is driven by hand, the sockets are real. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import dns from 'node:dns';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createManualClock, type ManualClock } from '../../src/testing/manual-clock.ts';
import { createHttpTransport } from '../../src/transport/http-transport.ts';
import type { Transport } from '../../src/transport/transport.ts';

interface Stage {
  readonly clock: ManualClock;
  /** Sends one call and gives what became of it. */
  readonly ask: () => Promise<'whole' | 'stale' | 'broken'>;
  /** Connections so far. */
  readonly count: () => number;
}

/** `answer` gets each request of a connection: its number on it, from 1, and that of the connection. */
async function stage(t: TestContext, answer: (socket: Socket, nth: number, connection: number) => void): Promise<Stage> {
  let connections = 0;
  const server = createServer((socket) => {
    const connection = ++connections;
    let requests = 0;
    socket.on('error', () => {});
    socket.on('data', () => answer(socket, ++requests, connection));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const clock = createManualClock();
  const transport = await createHttpTransport({ clock, client: 'sockets' });
  t.after(() => transport.close());
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { clock, ask: () => ask(transport, clock, origin), count: () => connections };
}

async function ask(transport: Transport, clock: ManualClock, origin: string): Promise<'whole' | 'stale' | 'broken'> {
  const end = await new Promise<'whole' | 'stale' | 'broken'>((resolve) => {
    transport.send(
      { origin, path: '/', method: 'POST', headers: [], body: Buffer.from('x'), connectTimeoutMs: 5000 },
      {
        onSent() {},
        onHeaders() {},
        onData() {},
        onEnd: () => resolve('whole'),
        onError: (_, isStale) => resolve(isStale === true ? 'stale' : 'broken'),
      },
    );
  });
  // A connection serves again a turn after its response.
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(0);
  return end;
}

const fine = (headers = ''): string => `HTTP/1.1 200 OK\r\n${headers}content-length: 4\r\n\r\nfine`;

for (const [what, headers, servesMs] of [
  ['four seconds where its server does not say', '', 3999],
  ['two seconds less than its server says', 'keep-alive: timeout=30, max=100\r\n', 27_999],
  ['ten minutes at most', 'keep-alive: timeout=99999\r\n', 599_999],
] as const) {
  test(`a connection serves again for ${what}`, async (t) => {
    const { clock, ask: next, count } = await stage(t, (socket) => socket.write(fine(headers)));
    await next();
    clock.advance(servesMs);
    await next();
    assert.equal(count(), 1);
    clock.advance(servesMs + 1);
    await next();
    assert.equal(count(), 2);
  });
}

for (const headers of ['connection: close\r\n', 'keep-alive: timeout=2\r\n']) {
  test(`a connection does not serve again after ${JSON.stringify(headers)}`, async (t) => {
    const { ask: next, count } = await stage(t, (socket) => socket.write(fine(headers)));
    for (let i = 0; i < 3; i++) assert.equal(await next(), 'whole');
    assert.equal(count(), 3);
  });
}

test('after a stale connection the next call gets a fresh one, and the other idle ones are closed', async (t) => {
  const closed: number[] = [];
  const {
    clock,
    ask: next,
    count,
  } = await stage(t, (socket, nth, connection) => {
    if (nth === 1) socket.once('close', () => closed.push(connection));
    // Those of the beginning serve once.
    if (nth > 1 && connection <= 3) socket.destroy();
    else socket.write(fine());
  });
  assert.deepEqual(await Promise.all([next(), next(), next()]), ['whole', 'whole', 'whole']);
  clock.advance(1000);
  assert.equal(await next(), 'stale');
  assert.deepEqual([await next(), await next(), count()], ['whole', 'whole', 4]);
  while (closed.length < 3) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    closed.toSorted((a, b) => a - b),
    [1, 2, 3],
  );
});

for (const [what, leave] of [
  ['is closed', (socket: Socket) => socket.destroy()],
  ['is reset', (socket: Socket) => socket.resetAndDestroy()],
  ['gets an unsolicited response', (socket: Socket) => socket.write('HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n')],
] as const) {
  test(`a call whose connection ${what} before its request is written gets a fresh one`, async (t) => {
    const sockets: Socket[] = [];
    const received: number[] = [];
    const { clock, ask: next } = await stage(t, (socket, _nth, connection) => {
      sockets.push(socket);
      received.push(connection);
      socket.write(fine());
    });
    assert.equal(await next(), 'whole');
    clock.advance(2_000);
    // Within a timer, what the socket has received is read before the end of the turn.
    const end = await new Promise((resolve) => {
      setTimeout(() => {
        leave(sockets[0]!);
        resolve(next());
      }, 0);
    });
    assert.equal(end, 'whole');
    assert.deepEqual(received, [1, 2]);
  });
}

test('a head of many equal headers does not block the event loop', async (t) => {
  const { ask: next } = await stage(t, (socket) => socket.write(fine('a:\r\n'.repeat(15_000))));
  const startedAt = performance.now();
  assert.equal(await next(), 'whole');
  assert.ok(performance.now() - startedAt < 200);
});

test('the connection that served last serves first', async (t) => {
  const served: number[] = [];
  const { ask: next } = await stage(t, (socket, _nth, connection) => {
    served.push(connection);
    socket.write(fine());
  });
  await Promise.all([next(), next(), next()]);
  const last = served.splice(0).at(-1);
  await next();
  await next();
  assert.deepEqual(served, [served[0], served[0]], `one and the same, as ${last} or another that came last`);
});

test('a name with several addresses is reached at one that listens', async (t) => {
  const server = createServer((socket) => socket.on('data', () => socket.end(fine())).on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  // The first one refuses connections.
  const addresses = [
    { address: '127.0.0.2', family: 4 },
    { address: '127.0.0.1', family: 4 },
  ];
  t.mock.method(dns, 'lookup', (_name: string, _options: unknown, done: (error: null, found: object[]) => void) => done(null, addresses));
  const clock = createManualClock();
  const transport = await createHttpTransport({ clock, client: 'sockets' });
  t.after(() => transport.close());
  assert.equal(await ask(transport, clock, `http://provider.test:${(server.address() as AddressInfo).port}`), 'whole');
});
