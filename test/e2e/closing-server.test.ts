/** A provider that closes its connections after each answer costs nobody anything. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { startGateway } from './harness.ts';

const body = JSON.stringify({
  id: 'c',
  object: 'chat.completion',
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'fine' }, finish_reason: 'stop' }],
});
const answer = (headers = ''): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`;

/** Each gets a request of a connection: its number, from 1. */
for (const [how, take] of [
  ['and says so', (socket: Socket) => void socket.end(answer('connection: close\r\n'))],
  ['without a word', (socket: Socket) => void socket.end(answer())],
  ['when the next request has come', (socket: Socket, nth: number) => void (nth === 1 ? socket.write(answer()) : socket.destroy())],
] as const) {
  test(`a provider that closes after each answer, ${how}, costs no breaker mark and no pause`, async (t) => {
    const server = createServer((socket) => {
      let requests = 0;
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        if (bytes.includes('POST ')) take(socket, ++requests);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const gateway = await startGateway({ providers: { a: { baseUrl } }, models: { fast: ['a/m'] } });
    t.after(() => gateway.close());
    for (let i = 0; i < 40; i++) assert.equal((await gateway.chat()).status, 200);
    await Promise.all(Array.from({ length: 20 }, async () => assert.equal((await gateway.chat()).status, 200)));
    assert.equal(gateway.eventsOf('backoff').length, 0);
    assert.equal(gateway.eventsOf('breaker').length, 0);
    assert.equal(gateway.gateway.targets()[0]?.breaker.failureRatio, 0);
  });
}
