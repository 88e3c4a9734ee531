import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { chat } from '../../test/server/both-ways.ts';
import { createFakeGateway, type FakeGateway } from '../../test/server/fake-gateway.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { startServer, type Server } from './server.ts';

async function start(): Promise<{ gateway: FakeGateway; server: Server }> {
  const gateway = createFakeGateway({ server: { port: 0, drainTimeout: '30s' } });
  const server = await startServer({ gateway, clock: gateway.clock, random: createSeededRandom(1) });
  return { gateway, server };
}

/** Responds when triggered; with an in-band error if the gateway is closed first. */
function answerLater(gateway: FakeGateway): { asked: Promise<void>; finish: () => void } {
  let finish = (): void => {};
  const told = new Promise<void>((resolve) => (finish = resolve));
  const asked = new Promise<void>((resolve) => {
    gateway.answer = async (_, sink) => {
      sink.head(200, ['content-type', 'text/event-stream']);
      sink.write(Buffer.from('data: 1\n\n'));
      resolve();
      await told;
      sink.end(Buffer.from(gateway.isClosed ? 'data: {"error":{}}\n\n' : 'data: [DONE]\n\n'));
    };
    gateway.close = () => {
      gateway.isClosed = true;
      finish();
      return Promise.resolve();
    };
  });
  return { asked, finish };
}

test('an idle server drains at once, and its port is free', async () => {
  const { gateway, server } = await start();
  const idle = connect(server.port, '127.0.0.1');
  await new Promise<void>((resolve) => idle.once('connect', resolve));
  assert.equal((await fetch(`${server.url}/health/ready`)).status, 200);
  await server.drain();
  assert.equal(gateway.isClosed, true);
  await assert.rejects(fetch(`${server.url}/health/live`), TypeError);
});

test('a response that ends in the turn in which the server closes reaches its caller', async () => {
  const { gateway, server } = await start();
  let closed = Promise.resolve();
  gateway.answer = async (_, sink) => {
    sink.head(200, ['content-type', 'application/json']);
    sink.end(Buffer.from('{}'));
    closed = server.drain();
  };
  const response = await fetch(`${server.url}/v1/chat/completions`, chat());
  assert.equal(await response.text(), '{}');
  await closed;
});

test('while draining, running requests continue and new ones are refused', async () => {
  const { gateway, server } = await start();
  const later = answerLater(gateway);
  const running = fetch(`${server.url}/v1/chat/completions`, chat({ stream: true }));
  await later.asked;
  const drained = server.drain();

  const ready = await fetch(`${server.url}/health/ready`);
  assert.equal(ready.status, 503);
  assert.equal(ready.headers.get('connection'), 'close');
  assert.equal((await fetch(`${server.url}/health/live`)).status, 200);
  const refused = await fetch(`${server.url}/v1/chat/completions`, chat());
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get('connection'), 'close');
  assert.equal(refused.headers.get('x-should-retry'), 'true');
  assert.equal(refused.headers.get('retry-after'), '1');
  assert.equal(((await refused.json()) as { error: { code: string } }).error.code, 'shutting_down');

  later.finish();
  assert.match(await (await running).text(), /\[DONE\]/);
  await drained;
  assert.equal(gateway.requests.length, 1);
});

test('drainHeaders mark a refusal while draining, and no other response', async () => {
  const gateway = createFakeGateway({ server: { port: 0, drainHeaders: { 'X-Accel-Redirect': '@others' } } });
  const server = await startServer({ gateway, clock: gateway.clock, random: createSeededRandom(1) });
  const later = answerLater(gateway);
  const running = await fetch(`${server.url}/v1/chat/completions`, chat({ stream: true }));
  const drained = server.drain();
  const refused = await fetch(`${server.url}/v1/chat/completions`, chat());
  assert.deepEqual([refused.status, refused.headers.get('x-accel-redirect')], [503, '@others']);
  const ready = await fetch(`${server.url}/health/ready`);
  assert.deepEqual([ready.status, ready.headers.get('x-accel-redirect')], [503, null]);
  later.finish();
  assert.match(await running.text(), /\[DONE\]/);
  assert.equal(running.headers.get('x-accel-redirect'), null);
  await drained;
});

test('requests that still run after drainTimeout are aborted with an error', async () => {
  const { gateway, server } = await start();
  const later = answerLater(gateway);
  const running = fetch(`${server.url}/v1/chat/completions`, chat({ stream: true }));
  await later.asked;
  const drained = server.drain();
  gateway.clock.advance(29_999);
  await new Promise(setImmediate);
  assert.equal(gateway.isClosed, false);
  gateway.clock.advance(1);
  assert.match(await (await running).text(), /"error"/);
  await drained;
});

test('a reader that does not read cannot delay shutdown', async () => {
  const { gateway, server } = await start();
  let asked = (): void => {};
  const whenAsked = new Promise<void>((resolve) => (asked = resolve));
  gateway.answer = (_, sink) => {
    sink.head(200, []);
    sink.end(Buffer.alloc(100_000_000));
    asked();
  };
  const socket = connect(server.port, '127.0.0.1', () => {
    const body = JSON.stringify({ model: 'fast', messages: [] });
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
  socket.on('error', () => {});
  await whenAsked;
  const drained = server.drain();
  while (gateway.clock.pendingTimers === 0 || !gateway.isClosed) await new Promise(setImmediate);
  gateway.clock.advance(2000);
  await drained;
  socket.destroy();
});
