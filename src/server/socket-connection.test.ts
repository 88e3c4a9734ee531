import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { loadHttpParser } from '../transport/http-parser.ts';
import type { Exchange } from './exchange.ts';
import { idleTimeoutMs } from './listener-parts.ts';
import { SocketConnection } from './socket-connection.ts';
import { UNREAD_MAX_MS } from './unread-answer.ts';

const turns = async (count = 30): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
};

/** A connection from both sides. */
async function open(t: TestContext, handle: (exchange: Exchange) => unknown) {
  const parsers = loadHttpParser();
  assert.ok(parsers !== null);
  let connection: SocketConnection | undefined;
  const answerBroken = (status: number) => ({ status, headers: [], body: new Uint8Array(0) });
  const host = { parsers, handle, answerBroken, isLocal: false, windingDown: false, onClosed() {} };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => (connection = new SocketConnection(host, socket)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const caller: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => {
    caller.destroy();
    connection?.socket.destroy();
    server.close();
  });
  while (connection === undefined) await turns(1);
  return { caller, connection };
}

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

for (const form of ['whole', 'streamed'] as const) {
  test(`a ${form} response of 200 KB that is sent leaves no time limit to the next call on its connection`, async (t) => {
    const exchanges: Exchange[] = [];
    const { caller, connection } = await open(t, (exchange) => {
      exchanges.push(exchange);
      if (exchanges.length > 1) return;
      exchange.head(200, ['content-type', 'application/json']);
      if (form === 'streamed') exchange.write(Buffer.alloc(1_000, 'x'));
      exchange.end(Buffer.alloc(200_000, 'x'));
    });
    caller.resume();
    caller.write(get);
    while (caller.bytesRead < 200_000) await turns(1);
    await turns();
    assert.equal(connection.socket.timeout, idleTimeoutMs);
    caller.write(get);
    while (exchanges.length < 2) await turns(1);
    connection.socket.emit('timeout');
    await turns();
    assert.deepEqual([exchanges[1]!.hasLeft, connection.socket.destroyed], [false, false]);
  });
}

test('a response that its caller does not read limits the connection in time, also after the caller has closed its side', async (t) => {
  for (const closes of [false, true]) {
    const { caller, connection } = await open(t, (exchange) => {
      exchange.head(200, []);
      exchange.end(Buffer.alloc(20_000_000, 'x'));
    });
    caller.pause();
    if (closes) caller.end(get);
    else caller.write(get + get);
    while (connection.socket.timeout !== UNREAD_MAX_MS) await turns(1);
    await turns();
    assert.equal(connection.socket.timeout, UNREAD_MAX_MS);
    connection.socket.emit('timeout');
    assert.equal(connection.socket.destroyed, true);
  }
});

/** Sends everything, then reads. */
async function received(caller: Socket, pieces: readonly Buffer[]): Promise<string> {
  let text = '';
  caller.pause();
  for (const piece of pieces) await new Promise((resolve) => caller.write(piece, resolve));
  caller.on('data', (bytes) => (text += bytes.toString('latin1'))).resume();
  caller.end();
  await once(caller, 'close');
  return text;
}

const megabytes = Array.from({ length: 50 }, () => Buffer.alloc(100_000, 'x'));

test('a response that closes the connection reaches a caller that is still sending its body', async (t) => {
  const { caller } = await open(t, (exchange) => {
    exchange.head(503, ['connection', 'close']);
    exchange.end(Buffer.from('draining'));
  });
  const head = Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n');
  assert.match(await received(caller, [head, ...megabytes]), /^HTTP\/1\.1 503 [^]*draining$/);
});

test('the refusal of invalid input reaches a caller that is still sending', async (t) => {
  const { caller } = await open(t, () => assert.fail('it is not handled'));
  assert.match(await received(caller, [Buffer.from('GET / HTTP/1.1\r\nin valid\r\n\r\n'), ...megabytes]), /^HTTP\/1\.1 400 /);
});

test('a caller that leaves while a later request of it is not read is noticed, and the later body is not buffered', async (t) => {
  const exchanges: Exchange[] = [];
  const { caller, connection } = await open(t, (exchange) => void exchanges.push(exchange));
  caller.on('error', () => {});
  caller.write(get);
  while (exchanges.length === 0) await turns(1);
  caller.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n${'x'.repeat(1_000)}`);
  for (const piece of megabytes) caller.write(piece);
  await turns(100);
  assert.ok(connection.socket.bytesRead < 200_000, `${connection.socket.bytesRead} bytes are read`);
  caller.resetAndDestroy();
  await turns();
  for (let probe = 0; probe < 3 && !connection.socket.destroyed; probe++) {
    connection.socket.emit('timeout');
    await turns();
  }
  assert.equal(exchanges[0]!.hasLeft, true);
});

test('a later request that was not read is handled in its turn', async (t) => {
  const { caller } = await open(t, async (exchange) => {
    let bytes = 0;
    for await (const piece of exchange.bodyPieces()) bytes += piece.length;
    await turns();
    exchange.head(200, []);
    exchange.end(Buffer.from(`${bytes} bytes`));
  });
  const head = Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n');
  const text = await received(caller, [head, ...megabytes, head, ...megabytes, Buffer.from(get)]);
  assert.deepEqual(
    [...text.matchAll(/(\d+) bytes/g)].map(([, bytes]) => bytes),
    ['5000000', '5000000', '0'],
  );
});
