import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { createFakeGateway } from '../../test/server/fake-gateway.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { createApp } from './app.ts';
import { listen } from './listener.ts';

test('beyond its share of connections an address loses idle ones, and is refused where none is idle', async (t) => {
  const gateway = createFakeGateway();
  gateway.answer = () => {};
  const { handle, answerBroken } = createApp({ gateway, random: createSeededRandom(1), boundHost: '127.0.0.1' });
  const listener = await listen({ host: '127.0.0.1', port: 0, handle, answerBroken, onError: assert.fail, connectionsMax: 8 });
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
