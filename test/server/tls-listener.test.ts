/** Both listeners over TLS and on a unix socket. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFileSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request as requestHttps } from 'node:https';
import { request, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { spawn, spawnSync } from 'node:child_process';
import { createApp } from '../../src/server/app.ts';
import { limitHandshakes } from '../../src/server/acceptor.ts';
import { listen, type Listener, type ListenerOptions } from '../../src/server/listener.ts';
import { readTlsFiles } from '../../src/server/tls-files.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { makeCertificate, noOpenssl } from './certificate.ts';
import { createFakeGateway, type FakeGateway } from './fake-gateway.ts';

const folder = mkdtempSync(join(tmpdir(), 'breakwater-tls-'));
after(() => rmSync(folder, { recursive: true }));
const [first, second] = noOpenssl === false ? [makeCertificate(folder, 'first'), makeCertificate(folder, 'second')] : [];

interface Started {
  readonly listener: Listener;
  readonly gateway: FakeGateway;
}

async function start(t: TestContext, options: Partial<ListenerOptions>): Promise<Started> {
  const gateway = createFakeGateway();
  const { handle, answerBroken } = createApp({ gateway, random: createSeededRandom(1), boundHost: '127.0.0.1' });
  const listener = await listen({ host: '127.0.0.1', port: 0, handle, answerBroken, onError: assert.fail, ...options });
  t.after(async () => {
    listener.destroy();
    await listener.close();
  });
  return { listener, gateway };
}

async function connected(t: TestContext, port: number, options: object = {}): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

/** Sends one request on the socket and reads its response up to the given text. */
async function ask(socket: Socket, text: string, end: string): Promise<string> {
  let received = '';
  const onData = (piece: Buffer): void => void (received += piece.toString('latin1'));
  socket.on('data', onData);
  socket.write(text);
  while (!received.includes(end)) await once(socket, 'data');
  socket.off('data', onData);
  return received;
}

test('a TLS handshake that never ends does not delay the end of the listener', { skip: noOpenssl }, async (t) => {
  for (const kind of ['sockets', 'node'] as const) {
    const { listener } = await start(t, { kind, tls: readTlsFiles(first!) });
    const socket = connect(listener.port, '127.0.0.1');
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    const startedAt = performance.now();
    const closed = listener.close();
    listener.destroy();
    await closed;
    assert.ok(performance.now() - startedAt < 2_000, kind);
  }
});

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of response) text += String(piece);
  return text;
}

const live = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n';
const chat = JSON.stringify({ model: 'fast', messages: [] });
const post = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${chat.length}\r\n\r\n${chat}`;

for (const kind of ['sockets', 'node'] as const) {
  describe(`the ${kind} listener over TLS`, { skip: noOpenssl }, () => {
    test('serves HTTP/1.1, chosen by ALPN, and refuses clients that offer only HTTP/2', async (t) => {
      const { listener } = await start(t, { kind, tls: readTlsFiles(first!) });
      const socket = await connected(t, listener.port, { ALPNProtocols: ['h2', 'http/1.1'] });
      assert.equal(socket.alpnProtocol, 'http/1.1');
      assert.match(await ask(socket, live, '"live"'), /^HTTP\/1\.1 200 /);
      await assert.rejects(connected(t, listener.port, { ALPNProtocols: ['h2'] }), /no application protocol|alert number 120/i);
      await assert.rejects(connected(t, listener.port, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }));
    });

    test('a large body arrives and a large response is sent complete', async (t) => {
      const { listener, gateway } = await start(t, { kind, tls: readTlsFiles(first!) });
      const content = 'x'.repeat(6_000_000);
      gateway.answer = (_, sink) => {
        sink.head(200, ['content-type', 'text/plain']);
        sink.end(Buffer.from(content));
      };
      const body = JSON.stringify({ model: 'fast', messages: [{ role: 'user', content }] });
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const options = { port: listener.port, host: '127.0.0.1', path: '/v1/chat/completions', method: 'POST', rejectUnauthorized: false };
        requestHttps({ ...options, agent: false }, resolve)
          .on('error', reject)
          .end(body);
      });
      assert.equal(response.statusCode, 200);
      assert.equal((await textOf(response)).length, content.length);
    });

    test('a new certificate applies to new connections, and open ones continue', async (t) => {
      const { listener } = await start(t, { kind, tls: readTlsFiles(first!) });
      const old = await connected(t, listener.port);
      assert.match(await ask(old, live, '"live"'), /^HTTP\/1\.1 200 /);
      listener.setCertificate(readTlsFiles(second!));
      const next = await connected(t, listener.port);
      assert.deepEqual([old.getPeerCertificate().subject.CN, next.getPeerCertificate().subject.CN], ['first', 'second']);
      assert.match(await ask(old, live, '"live"'), /^HTTP\/1\.1 200 /);
      assert.match(await ask(next, live, '"live"'), /^HTTP\/1\.1 200 /);
    });

    test('plain HTTP and broken handshakes close their connection and no other', async (t) => {
      const { listener } = await start(t, { kind, tls: readTlsFiles(first!) });
      const open = await connected(t, listener.port);
      for (const text of [live, '\x16\x03\x01\x00\x05garbage']) {
        const plain = connect(listener.port, '127.0.0.1');
        plain.on('error', () => {});
        plain.resume();
        plain.end(text);
        await once(plain, 'close');
      }
      assert.match(await ask(open, live, '"live"'), /^HTTP\/1\.1 200 /);
    });

    test('a caller that disconnects during its request is noticed', async (t) => {
      const { listener, gateway } = await start(t, { kind, tls: readTlsFiles(first!) });
      const left = new Promise<void>((resolve) => {
        gateway.answer = ({ caller }) => void (caller.onLeave = resolve);
      });
      const socket = await connected(t, listener.port);
      socket.write(post);
      while (gateway.requests.length === 0) await new Promise(setImmediate);
      socket.destroy();
      await left;
    });

    test('a reader that takes nothing is distinguished from one that reads', async (t) => {
      const { listener, gateway } = await start(t, { kind, tls: readTlsFiles(first!) });
      let moved = (): boolean => false;
      gateway.answer = (_, sink) => {
        sink.head(200, ['content-type', 'text/plain']);
        for (let i = 0; i < 64; i++) sink.write(Buffer.alloc(1024 ** 2));
        moved = () => sink.readerMoved();
      };
      const socket = await connected(t, listener.port);
      socket.pause();
      socket.write(post);
      while (gateway.requests.length === 0) await new Promise(setImmediate);
      let still = 0;
      for (; still < 200; still = moved() ? 0 : still + 1) await new Promise(setImmediate);
      socket.resume();
      while (!moved()) await new Promise(setImmediate);
    });

    test('winding down closes idle connections, and running requests are answered before the end', async (t) => {
      const { listener, gateway } = await start(t, { kind, tls: readTlsFiles(first!) });
      let finish = (): void => {};
      gateway.answer = (_, sink) => {
        finish = () => {
          sink.head(200, ['content-type', 'text/plain']);
          sink.end(Buffer.from('done'));
        };
      };
      const [idle, busy] = [await connected(t, listener.port), await connected(t, listener.port)];
      assert.match(await ask(idle, live, '"live"'), /^HTTP\/1\.1 200 /);
      busy.write(post);
      while (gateway.requests.length === 0) await new Promise(setImmediate);
      listener.windDown();
      await once(idle.resume(), 'close');
      const closed = listener.close();
      finish();
      assert.match(await ask(busy, '', 'done'), /^HTTP\/1\.1 200 [^]*connection: close/i);
      await closed;
    });

    const always = kind === 'node' ? 'node:http closes idle connections at once' : false;
    test('a request that arrives as winding down or closing begins has a response', { skip: always }, async (t) => {
      const { listener } = await start(t, { kind, tls: readTlsFiles(first!) });
      const [early, late] = [await connected(t, listener.port), await connected(t, listener.port)];
      for (const socket of [early, late]) assert.match(await ask(socket, live, '"live"'), /^HTTP\/1\.1 200 /);
      listener.windDown();
      assert.match(await ask(early, live, '"live"'), /^HTTP\/1\.1 200 [^]*connection: close/i);
      const closed = listener.close();
      assert.match(await ask(late, live, '"live"'), /^HTTP\/1\.1 200 [^]*connection: close/i);
      await closed;
    });
  });

  describe(`the ${kind} listener on a unix socket`, { skip: process.platform === 'win32' ? 'Windows has no unix sockets' : false }, () => {
    test('serves local callers, with the given permissions, and removes the file at its end', async (t) => {
      const path = join(folder, `${kind}.sock`);
      const { listener } = await start(t, { kind, socket: { path, mode: 0o640 } });
      assert.equal(statSync(path).mode & 0o777, 0o640);
      assert.equal(listener.port, 0);
      const answer = await askOver(path, '/admin/requests', 'localhost');
      assert.deepEqual(answer.statusCode, 200, await textOf(answer));
      await listener.close();
      assert.equal(existsSync(path), false);
    });

    test('requests that passed a proxy or name another host are not local', async (t) => {
      const path = join(folder, `${kind}-proxied.sock`);
      await start(t, { kind, socket: { path, mode: 0o600 } });
      assert.equal((await askOver(path, '/admin/requests', 'gateway.example')).statusCode, 403);
      assert.equal((await askOver(path, '/admin/requests', 'localhost', { 'x-forwarded-for': '10.0.0.1' })).statusCode, 403);
    });

    test('the socket of a killed process is replaced; one in use and other files are errors', async (t) => {
      const path = join(folder, `${kind}-stale.sock`);
      const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
      await once(spawn(process.execPath, ['-e', script]), 'close');
      assert.ok(statSync(path).isSocket());
      await start(t, { kind, socket: { path, mode: 0o600 } });
      assert.equal((await askOver(path, '/health/live', 'localhost')).statusCode, 200);
      await assert.rejects(start(t, { kind, socket: { path, mode: 0o600 } }), { code: 'EADDRINUSE' });
      assert.equal((await askOver(path, '/health/live', 'localhost')).statusCode, 200);

      const file = join(folder, `${kind}-file`);
      writeFileSync(file, 'precious');
      await assert.rejects(start(t, { kind, socket: { path: file, mode: 0o600 } }), { code: 'EEXIST' });
      assert.equal(readFileSync(file, 'utf8'), 'precious');
      await assert.rejects(start(t, { kind, socket: { path: join(folder, 'none', 'a.sock'), mode: 0o600 } }), { code: /ENOENT|EACCES/ });
    });
  });
}

function askOver(socketPath: string, path: string, host: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path, headers: { host, ...headers }, agent: false }, resolve)
      .on('error', reject)
      .end();
  });
}

test('an address with too many unfinished handshakes loses its oldest one', { skip: noOpenssl }, async (t) => {
  const { cert, key } = readTlsFiles(first!);
  const server = createTlsServer({ cert, key }, (socket) => socket.on('error', () => {}));
  limitHandshakes(server, 4);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const closed: number[] = [];
  const sockets: Socket[] = [];
  for (let i = 0; i < 4; i++) {
    const socket = connect(port, '127.0.0.1').on('close', () => closed.push(i));
    socket.on('error', () => {}).resume();
    sockets.push(socket);
    await once(server, 'connection');
  }
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  while (closed.length < 2) await new Promise(setImmediate);
  assert.deepEqual(closed, [0, 1]);
  const finished: TLSSocket[] = [];
  while (finished.length < 8) {
    const [socket] = await Promise.all([connected(t, port), once(server, 'secureConnection')]);
    finished.push(socket);
  }
  assert.deepEqual(
    finished.map((socket) => socket.destroyed),
    finished.map(() => false),
    'finished handshakes do not count',
  );
});

test('connections that were reset before they were accepted take no place of unfinished handshakes', { skip: noOpenssl }, async (t) => {
  const { cert, key } = readTlsFiles(first!);
  const server = createTlsServer({ cert, key });
  limitHandshakes(server, 6);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  let [accepted, open] = [0, 0];
  server.on('connection', (socket: Socket) => {
    accepted++;
    open++;
    socket.on('close', () => open--);
  });
  // This process accepts nothing while it waits for the other one.
  const script = `for (let i = 0; i < 8; i++) { const s = require('net').connect(${port}, '127.0.0.1', () => s.resetAndDestroy()); }`;
  assert.equal(spawnSync(process.execPath, ['-e', script]).status, 0);
  while (accepted < 8 || open > 0) await new Promise(setImmediate);

  const sockets: Socket[] = [];
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  for (let i = 0; i < 2; i++) {
    sockets.push(connect(port, '127.0.0.1').on('error', () => {}));
    await once(server, 'connection');
  }
  await connected(t, port);
  assert.equal(open, 3, 'two unfinished handshakes and a finished one');
});

test('a handshake that takes too long ends, also if the caller has closed its side', { skip: noOpenssl }, async (t) => {
  const { cert, key } = readTlsFiles(first!);
  const server = createTlsServer({ cert, key, allowHalfOpen: true, handshakeTimeout: 50 });
  limitHandshakes(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  for (const isClosed of [false, true]) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
    if (isClosed) socket.end();
    await once(socket.resume(), isClosed ? 'close' : 'end');
    socket.destroy();
  }
});

describe('the files of server.tls', { skip: noOpenssl }, () => {
  test('each fault names its setting and file', () => {
    const { cert, key } = first!;
    const [garbage, encrypted] = [join(folder, 'garbage'), join(folder, 'encrypted')];
    writeFileSync(garbage, 'not PEM');
    writeFileSync(encrypted, '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n');
    const faults: [string, string, RegExp][] = [
      [join(folder, 'none'), key, /^server\.tls\.cert: .*none does not exist \(ENOENT\)$/],
      [cert, join(folder, 'none'), /^server\.tls\.key: .*none does not exist \(ENOENT\)$/],
      [cert, folder, /^server\.tls\.key: .* is a folder \(EISDIR\)$/],
      [garbage, key, /^server\.tls\.cert: .*garbage is not a PEM certificate$/],
      [cert, garbage, /^server\.tls\.key: .*garbage is not a PEM private key$/],
      [cert, encrypted, /^server\.tls\.key: .*encrypted is encrypted; use a key without a passphrase$/],
      [cert, second!.key, /^server\.tls: the key .*second\.key does not belong to the certificate .*first\.pem$/],
    ];
    for (const [one, other, message] of faults) assert.throws(() => readTlsFiles({ cert: one, key: other }), { name: 'TlsFault', message });
  });

  test('a chain after the certificate is accepted', () => {
    const chain = join(folder, 'chain.pem');
    copyFileSync(first!.cert, chain);
    appendFileSync(chain, readFileSync(second!.cert));
    assert.ok(readTlsFiles({ cert: chain, key: first!.key }).validUntilMs > Date.now());
  });
});
