import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { loadHttpParser } from '../transport/http-parser.ts';
import type { Exchange } from './exchange.ts';
import { keepAliveTimeoutMs } from './listener-parts.ts';
import { SocketConnection } from './socket-connection.ts';

const turns = async (count = 30): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
};

/** A connection from both sides. */
async function open(t: TestContext, handle: (exchange: Exchange) => void) {
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
    assert.equal(connection.socket.timeout, keepAliveTimeoutMs);
    caller.write(get);
    while (exchanges.length < 2) await turns(1);
    connection.socket.emit('timeout');
    await turns();
    assert.deepEqual([exchanges[1]!.hasLeft, connection.socket.destroyed], [false, false]);
  });
}
