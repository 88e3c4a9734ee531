/** What every HTTP client has to do, over real sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { connect, createServer as createNetServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';
import type { Transport, UpstreamCall } from '../../src/transport/transport.ts';

interface Heard {
  readonly events: string[];
  status: number;
  body: string;
  error: Error | null;
  isStale: boolean;
  readonly call: UpstreamCall;
  readonly over: Promise<void>;
}

async function serve(t: TestContext, server: Server | ReturnType<typeof createNetServer>): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface TransportParts {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string>>;
}

export function testTransport(name: string, create: (parts: TransportParts) => Transport | Promise<Transport>): void {
  void describe(name, () => runTransportTests(create));
}

function send(transport: Transport, origin: string, onData?: (call: UpstreamCall) => void): Heard {
  const events: string[] = [];
  let end = () => {};
  const over = new Promise<void>((resolve) => (end = resolve));
  const request = { origin, path: '/v1/x', method: 'POST', headers: ['x-a', '1'], body: Buffer.from('hello'), connectTimeoutMs: 2_000 };
  const call = transport.send(request, {
    onSent: () => events.push('sent'),
    onHeaders(status) {
      heard.status = status;
      events.push('headers');
    },
    onData(chunk) {
      heard.body += Buffer.from(chunk).toString();
      onData?.(heard.call);
    },
    onEnd() {
      events.push('end');
      end();
    },
    onError(error, isStale) {
      heard.error = error;
      heard.isStale = isStale === true;
      events.push('error');
      end();
    },
  });
  const heard: Heard = { events, status: 0, body: '', error: null, isStale: false, call, over };
  return heard;
}

const echo: RequestListener = (request, response) => {
  response.writeHead(201, { 'x-seen': String(request.headers['x-a']) });
  request.pipe(response);
};

/** Answers each request on a raw connection with these pieces of text, one in a turn of its own. */
export function rawServer(pieces: readonly string[]): NetServer {
  return createNetServer((socket) => {
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', async () => {
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
  });
}

// eslint-disable-next-line max-lines-per-function -- a suite of tests, one story each
function runTransportTests(create: (parts: TransportParts) => Transport | Promise<Transport>): void {
  async function transportFor(t: TestContext, env: Record<string, string> = {}, clock: Clock = systemClock): Promise<Transport> {
    const transport = await create({ clock, env });
    t.after(() => transport.close());
    return transport;
  }

  test('an answer is told in order: sent, headers, data, end', async (t) => {
    const heard = send(await transportFor(t), await serve(t, createServer(echo)));
    await heard.over;
    assert.deepEqual([heard.events, heard.status, heard.body], [['sent', 'headers', 'end'], 201, 'hello']);
  });

  test('a refused connection is an error before anything was sent', async (t) => {
    const server = createNetServer();
    const origin = await serve(t, server);
    server.close();
    const heard = send(await transportFor(t), origin);
    await heard.over;
    assert.deepEqual(heard.events, ['error']);
    assert.equal((heard.error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  });

  test('a connection that breaks tells whether the provider had probably closed it before', async (t) => {
    let calls = 0;
    let end: (socket: Socket) => void = (socket) => void socket.resetAndDestroy();
    const server = createServer((request, response) => {
      calls++;
      if (calls % 3 !== 1) return end(request.socket);
      request.resume().on('end', () => response.end('fine'));
    });
    const clock = createManualClock();
    const transport = await transportFor(t, {}, clock);
    const origin = await serve(t, server);
    const ask = async (idleMs: number): Promise<unknown> => {
      await new Promise((resolve) => setImmediate(resolve)); // the connection is free again a turn after its answer
      clock.advance(idleMs);
      const heard = send(transport, origin);
      await heard.over;
      return heard.error === null ? heard.body : heard.isStale;
    };
    assert.deepEqual([await ask(0), await ask(1000), await ask(1000)], ['fine', true, false], 'the third one is a fresh connection');
    assert.deepEqual([await ask(0), await ask(999), await ask(1000)], ['fine', false, false], 'reset over this very request');
    end = (socket) => void socket.destroy();
    assert.deepEqual([await ask(0), await ask(0), await ask(0)], ['fine', true, false], 'closed in good order after an answer');
  });

  const plain = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine';
  const interim = 'HTTP/1.1 100 Continue\r\nx-note: none\r\n\r\n';
  for (const [how, pieces] of [
    ['in one piece', [interim + plain]],
    ['in a piece of its own', [interim, plain]],
    ['twice', [interim + interim, plain]],
    ['cut anywhere', [...(interim + plain).matchAll(/[^]{1,5}/g)].map(([piece]) => piece)],
  ] as const) {
    test(`an interim answer that nobody asked for is read over: ${how}`, async (t) => {
      const origin = await serve(t, rawServer(pieces));
      const transport = await transportFor(t);
      for (let i = 0; i < 3; i++) {
        const heard = send(transport, origin);
        await heard.over;
        assert.deepEqual([heard.error, heard.status, heard.body], [null, 200, 'fine']);
      }
    });
  }

  test('a body that looks like an interim answer stays whole', async (t) => {
    const body = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK';
    const origin = await serve(t, rawServer([`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`, body]));
    const heard = send(await transportFor(t), origin);
    await heard.over;
    assert.equal(heard.body, body);
  });

  test('a redirect is told, not followed', async (t) => {
    const heard = send(
      await transportFor(t),
      await serve(
        t,
        createServer((_, response) => response.writeHead(307, { location: '/y' }).end()),
      ),
    );
    await heard.over;
    assert.equal(heard.status, 307);
  });

  test('an aborted call closes its connection and tells nothing more', async (t) => {
    const closed = Promise.withResolvers<void>();
    const server = createServer((request, response) => {
      request.socket.on('close', () => closed.resolve());
      response.write('first');
    });
    const heard = send(await transportFor(t), await serve(t, server), (call) => call.abort());
    await closed.promise;
    assert.deepEqual([heard.events, heard.body], [['sent', 'headers'], 'first']);
  });

  test('a call aborted before its connection is open never reaches the provider', async (t) => {
    let requests = 0;
    const origin = await serve(
      t,
      createServer((_, response) => {
        requests++;
        response.end();
      }),
    );
    const transport = await transportFor(t);
    const aborted = send(transport, origin);
    aborted.call.abort();
    const after = send(transport, origin);
    await after.over;
    assert.deepEqual([requests, aborted.events], [1, []]);
  });

  test('a call aborted in the turn in which it starts on an open connection is an error of none, and the next one succeeds', async (t) => {
    const server = createServer(echo);
    const transport = await transportFor(t);
    const origin = await serve(t, server);
    await send(transport, origin).over;
    await new Promise((resolve) => setImmediate(resolve));
    const aborted = send(transport, origin);
    aborted.call.abort();
    const after = send(transport, origin);
    await after.over;
    assert.deepEqual([aborted.events.includes('error'), after.events, after.body], [false, ['sent', 'headers', 'end'], 'hello']);
  });

  test('a paused call holds the provider back until it is resumed', async (t) => {
    const size = 32 * 1024 * 1024;
    const server = createServer((_, response) => response.end(Buffer.alloc(size, 0x61)));
    let paused = 0;
    const heard = send(await transportFor(t), await serve(t, server), (call) => {
      paused++;
      call.pause();
      setImmediate(() => call.resume());
    });
    await heard.over;
    assert.equal(heard.body.length, size);
    assert.ok(paused > 1);
  });

  test('a header that HTTP forbids is an error, after send has returned', async (t) => {
    const transport = await transportFor(t);
    const failed = Promise.withResolvers<Error>();
    const nothing = () => {};
    const request = { origin: 'http://127.0.0.1:9', path: '/', method: 'POST', headers: ['x', 'a\nb'], body: null, connectTimeoutMs: 100 };
    transport.send(request, { onSent: nothing, onHeaders: nothing, onData: nothing, onEnd: nothing, onError: failed.resolve });
    assert.match((await failed.promise).message, /header/);
  });

  test('a proxy from the environment is used, but for this machine and what NO_PROXY names', async (t) => {
    const provider = await serve(t, createServer(echo));
    const { port } = new URL(provider);
    const asked: string[] = [];
    const proxy = createServer((request, response) => {
      asked.push(request.url!);
      response.end('from the proxy');
    });
    proxy.on('connect', (request, socket: Socket) => {
      asked.push(request.url!);
      const target = connect(Number(port), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        target.pipe(socket).pipe(target);
      });
    });
    const proxyUrl = await serve(t, proxy);
    const env = { HTTP_PROXY: proxyUrl, HTTPS_PROXY: proxyUrl, NO_PROXY: 'direct.invalid' };

    const through = send(await transportFor(t, env), `http://provider.invalid:${port}`);
    await through.over;
    assert.equal(asked.length, 1);
    assert.match(asked[0]!, /provider\.invalid/);

    const local = send(await transportFor(t, env), provider);
    await local.over;
    const named = send(await transportFor(t, env), 'http://direct.invalid');
    await named.over;
    assert.deepEqual([local.status, named.events, asked.length], [201, ['error'], 1]);
  });

  test('of an origin that nobody sends to any more idle connections are closed, and a running call ends whole', async (t) => {
    const open = new Set<Socket>();
    let finish = (): void => {};
    const listener: RequestListener = (request, response) => {
      if (request.headers['x-a'] !== '1') return void response.end();
      response.write('first');
      finish = () => response.end(' last');
    };
    const gone = createServer(listener);
    gone.on('connection', (socket) => {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    });
    const kept = createServer((_request, response) => void response.end('kept'));
    let connections = 0;
    kept.on('connection', () => connections++);
    const [goneAt, keptAt] = [await serve(t, gone), await serve(t, kept)];
    const transport = await transportFor(t);
    await send(transport, keptAt).over;
    let began = (): void => {};
    const beginning = new Promise<void>((resolve) => (began = resolve));
    const running = send(transport, goneAt, () => began());
    await beginning;
    transport.keepOnly!(new Set([keptAt]));
    await send(transport, keptAt).over;
    assert.equal(connections, 1, 'what is kept is used again');
    finish();
    await running.over;
    assert.equal(running.body, 'first last');
    while (open.size > 0) await once([...open][0]!, 'close');
  });
}
