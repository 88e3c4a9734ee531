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

/** Two looks free the parser. */
function rest(connection: SocketConnection): void {
  connection.look(0);
  connection.look(0);
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

test('the rest of a body whose response is complete is read and discarded, and the next request is handled', async (t) => {
  let answered = 0;
  const { caller, connection } = await open(t, (exchange) => {
    answered++;
    exchange.head(403, []);
    exchange.end(Buffer.from('no'));
  });
  caller.resume();
  const size = 1_000_000;
  caller.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(100)}`);
  while (caller.bytesRead === 0) await turns(1);
  for (let sent = 100; sent < size; sent += 99_990) {
    caller.write('x'.repeat(99_990));
    await turns();
  }
  assert.equal(connection.socket.timeout, idleTimeoutMs);
  caller.write(get);
  while (answered < 2) await turns(1);
  await turns();
  assert.ok(connection.isIdle);
});

for (const [what, sends] of [
  ['larger than 16 MB', () => [Buffer.from('x'.repeat(20_000_000))]],
  ['invalid', () => [Buffer.from('oops\r\n')]],
  ['broken off', () => []],
] as const) {
  test(`a rest of a body that is ${what} ends the connection, without a second response`, async (t) => {
    const { caller, connection } = await open(t, (exchange) => {
      exchange.head(403, []);
      exchange.end(Buffer.from('no'));
    });
    let text = '';
    caller.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
    const framing = what === 'invalid' ? 'Transfer-Encoding: chunked' : 'Content-Length: 1000000000';
    caller.write(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`);
    while (!text.includes('no')) await turns(1);
    for (const piece of sends()) caller.write(piece);
    if (what === 'broken off') caller.end();
    while (!caller.readableEnded && !caller.destroyed) await turns(1);
    assert.equal(text.match(/HTTP\/1\.1 /g)!.length, 1, text);
    assert.ok(connection.isIdle);
  });
}

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

test('requests are read after their connection was quiet, whole or in parts, during a stream or after it', async (t) => {
  const { caller, connection } = await open(t, async (exchange) => {
    let bytes = 0;
    for await (const piece of exchange.bodyPieces()) bytes += piece.length;
    exchange.head(200, []);
    exchange.write(Buffer.from('begun '));
    await turns(60);
    exchange.end(Buffer.from(`${exchange.target} ${bytes} bytes;`));
  });
  let text = '';
  caller.on('data', (bytes) => (text += bytes.toString('latin1')));
  const gather = async (what: string): Promise<void> => {
    while (!text.includes(what)) await turns(1);
    await turns();
    rest(connection);
  };
  caller.write(get);
  await gather('begun');
  caller.write('POST /second HTTP/1.1\r\nHost: a\r\nConte');
  await turns();
  rest(connection);
  caller.write('nt-Length: 5\r\n\r\nab');
  await turns();
  rest(connection);
  caller.write('cde');
  await gather('/second 5 bytes');
  caller.write(get.replace('/', '/third') + get.replace('/', '/fourth'));
  await gather('/fourth 0 bytes');
  assert.deepEqual(text.match(/\S+ \d bytes/g), ['/ 0 bytes', '/second 5 bytes', '/third 0 bytes', '/fourth 0 bytes']);
  caller.end();
  await once(connection.socket, 'close');
});

test('a quiet connection refuses invalid input, and a request after the last one that it accepts', async (t) => {
  for (const [first, second, answers] of [
    [get, 'GET / HTTP/1.1\r\nin valid\r\n\r\n', ['200', '400']],
    [get.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'), get, ['200']],
  ] as const) {
    let handled = 0;
    const { caller, connection } = await open(t, async (exchange) => {
      handled++;
      exchange.head(200, []);
      exchange.write(Buffer.from('begun'));
      await turns(100);
      exchange.end();
    });
    let text = '';
    caller.on('data', (bytes) => (text += bytes.toString('latin1')));
    caller.write(first);
    while (!text.includes('begun')) await turns(1);
    rest(connection);
    caller.write(second);
    await once(caller, 'close');
    assert.deepEqual([handled, text.match(/(?<=HTTP\/1.1 )\d+/g)], [1, answers]);
  }
});

test('a caller that leaves, or closes its side, is noticed on a quiet connection', async (t) => {
  for (const leaves of [true, false]) {
    let stream: Exchange | undefined;
    const { caller, connection } = await open(t, (exchange) => {
      stream = exchange;
      exchange.head(200, ['content-type', 'text/event-stream']);
      exchange.write(Buffer.from('data: 1\n\n'));
    });
    caller.on('error', () => {}).resume();
    caller.write(get);
    while (caller.bytesRead === 0) await turns(1);
    await turns();
    rest(connection);
    if (leaves) caller.resetAndDestroy();
    else caller.end();
    await turns();
    assert.equal(stream!.hasLeft, leaves);
    assert.equal(connection.socket.readableEnded, !leaves);
  }
});
