import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createFakeGateway } from '../../test/server/fake-gateway.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { createApp } from './app.ts';
import { listen } from './listener.ts';
import { listenerOfTests } from '../../test/server/listener-of-tests.ts';

test('beyond its share of connections an address loses idle ones, and is refused if none is idle', async (t) => {
  const gateway = createFakeGateway();
  gateway.answer = () => {};
  const { handle, answerBroken } = createApp({ gateway, random: createSeededRandom(1), boundHost: '127.0.0.1' });
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    handle,
    answerBroken,
    ...listenerOfTests(),
    onError: assert.fail,
    connectionsMax: 8,
  });
  t.after(() => (listener.destroy(), listener.close()));
  const closed: Socket[] = [];
  const open = async (): Promise<Socket> => {
    const socket = connect(listener.port, '127.0.0.1');
    socket.on('close', () => closed.push(socket));
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    return socket;
  };
  const body = JSON.stringify({ model: 'fast', messages: [] });
  const request = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const begin = async (socket: Socket): Promise<void> => {
    const { length } = gateway.requests;
    socket.write(request);
    while (gateway.requests.length === length) await new Promise(setImmediate);
  };
  const [idle, ...busy] = [await open(), await open(), await open(), await open()];
  for (const socket of busy) await begin(socket);
  const next = await open();
  while (closed.length === 0) await new Promise(setImmediate);
  assert.deepEqual(closed, [idle]);
  await begin(next);
  const refused = await open();
  let text = '';
  refused.on('data', (piece) => (text += piece.toString()));
  while (closed.length === 1) await new Promise(setImmediate);
  assert.deepEqual(closed, [idle, refused]);
  assert.match(text, /^HTTP\/1\.1 503 [^]*retry-after: 1[^]*"code":"queue_full"/);
});

const chat = JSON.stringify({ model: 'fast', messages: [] });
const post = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${chat.length}\r\n\r\n${chat}`;

/** A listener with a limit of two connections, one of which has a running request. */
async function startTaken(t: TestContext, answer: (sink: ResponseSink) => void) {
  const gateway = createFakeGateway();
  gateway.answer = (_, sink) => answer(sink);
  const { handle, answerBroken } = createApp({ gateway, random: createSeededRandom(1), boundHost: '127.0.0.1' });
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    handle,
    answerBroken,
    ...listenerOfTests(),
    onError: assert.fail,
    connectionsMax: 2,
  });
  const open = (text: string, allowHalfOpen = false): Socket => {
    const socket = connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen });
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.write(text);
    return socket;
  };
  t.after(() => (listener.destroy(), listener.close()));
  open(post).pause();
  while (gateway.requests.length === 0) await new Promise(setImmediate);
  return { gateway, listener, open };
}

test('a refused connection is closed in bounded time, even if its caller continues to send', async (t) => {
  const { gateway, open } = await startTaken(t, () => {});
  const refused = open(post, true).resume();
  let isClosed = false;
  refused.on('close', () => (isClosed = true));
  const startedAt = performance.now();
  while (!isClosed && performance.now() - startedAt < 10_000) {
    refused.write(post);
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
  }
  assert.ok(isClosed);
  assert.equal(gateway.requests.length, 1);
});

test('a connection that is still flushing a response is not replaced', async (t) => {
  const { gateway, open } = await startTaken(t, (sink) => {
    sink.head(200, ['content-type', 'application/json']);
    sink.end(Buffer.alloc(24 * 1024 ** 2, 'x'));
  });
  while (gateway.heldBytes === 0) await new Promise(setImmediate);
  const refused = open(post);
  let text = '';
  refused.on('data', (piece) => (text += piece.toString()));
  await new Promise((resolve) => refused.once('close', resolve));
  assert.match(text, /^HTTP\/1\.1 503 /);
  assert.equal(gateway.requests.length, 1);
});

test('refused connections are destroyed with all others', async (t) => {
  const { listener, open } = await startTaken(t, () => {});
  // It keeps its side open and does not read, so that the refusal stays pending.
  const refused = open(post, true);
  await new Promise((resolve) => refused.once('data', resolve));
  refused.pause();
  const startedAt = performance.now();
  const closed = listener.close();
  listener.destroy();
  await closed;
  assert.ok(performance.now() - startedAt < 800, 'before the time limit of the refusal');
});

test('without the parser of Node.js, node:http is used', async (t) => {
  const { handle, answerBroken } = createApp({ gateway: createFakeGateway(), random: createSeededRandom(1), boundHost: '127.0.0.1' });
  const listener = await listen({ host: '127.0.0.1', port: 0, handle, answerBroken, onError: assert.fail, parsers: null });
  t.after(() => (listener.destroy(), listener.close()));
  assert.equal((await fetch(`http://127.0.0.1:${listener.port}/health/live`)).status, 200);
});
