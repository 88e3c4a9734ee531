/** What one caller takes of the gateway itself, over real sockets: bytes, answers that are not read, pipelined requests. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, it, type TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { chatBody, startGateway, type TestGateway } from './harness.ts';

const MB = 1024 ** 2;

/** A gateway before a provider that answers with so many bytes of content. */
async function start(t: TestContext, contentBytes: number, config: ConfigInput = {}): Promise<TestGateway> {
  const message = { role: 'assistant', content: 'x'.repeat(contentBytes) };
  const answer = Buffer.from(
    JSON.stringify({ id: 'a', object: 'chat.completion', created: 1, model: 'm', choices: [{ index: 0, message, finish_reason: 'stop' }] }),
  );
  const provider = createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(answer));
  });
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  const { port } = provider.address() as AddressInfo;
  const gateway = await startGateway({
    providers: { a: { protocol: 'openai', baseUrl: `http://127.0.0.1:${port}/v1`, apiKey: 'k' } },
    models: { fast: ['a/m'] },
    ...config,
  });
  t.after(async () => {
    await gateway.close();
    provider.closeAllConnections();
    provider.close();
  });
  return gateway;
}

function raw(t: TestContext, { url }: TestGateway, text: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  socket.write(text, 'latin1');
  return socket;
}

function post(body: string, announced = body.length, ...headers: string[]): string {
  return ['POST /v1/chat/completions HTTP/1.1', 'Host: localhost', `Content-Length: ${announced}`, ...headers, '', body].join('\r\n');
}

async function eventually(isSo: () => boolean, what: string): Promise<void> {
  const until = performance.now() + 20_000;
  while (!isSo()) {
    if (performance.now() > until) assert.fail(`never came: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('bodies', () => {
  it('that are announced with 64 MB and stop after a byte keep nobody out', async (t) => {
    const world = await start(t, 100);
    for (let i = 0; i < 40; i++) raw(t, world, post('{', 64 * MB));
    await eventually(() => world.gateway.queue().heldBytes === 40, 'a byte of each');
    const response = await world.chat({ messages: [{ role: 'user', content: 'y'.repeat(8 * MB) }] });
    assert.equal(response.status, 200);
    await response.text();
    assert.equal(world.gateway.queue().heldBytes, 40);
  });

  it("of one client can't take the room of another", async (t) => {
    const clients = ['greedy', 'modest'].map((name) => ({ name, key: `key-of-${name}-1234` }));
    const world = await start(t, 100, { clients, server: { maxBodySize: '4mb', maxBufferedBytes: '16mb' } });
    const as = (name: string) => `Authorization: Bearer key-of-${name}-1234`;
    for (let i = 0; i < 12; i++) raw(t, world, post(' '.repeat(3 * MB), 4 * MB - 1, as('greedy')));
    await eventually(() => world.gateway.queue().heldBytes > 6 * MB, 'all that it may hold');
    for (let i = 0; i < 5; i++) {
      const response = await world.chat(
        { messages: [{ role: 'user', content: 'y'.repeat(2 * MB) }] },
        { authorization: 'Bearer key-of-modest-1234' },
      );
      assert.equal(response.status, 200, await response.text());
      assert.ok(world.gateway.queue().heldBytes < 10 * MB, `${world.gateway.queue().heldBytes} bytes`);
    }
  });
});

describe('answers that are not read', () => {
  it('are counted, bounded in memory, and keep nobody out', async (t) => {
    const world = await start(t, 15 * MB, { server: { maxBufferedBytes: '96mb' } });
    const before = process.memoryUsage().rss;
    const callers: Socket[] = [];
    for (let i = 0; i < 30; i++) {
      const socket = raw(t, world, post(JSON.stringify(chatBody())));
      socket.pause();
      callers.push(socket);
    }
    await eventually(() => world.eventsOf('committed').length === 30, 'all answers');
    const { heldBytes } = world.gateway.queue();
    const grown = (process.memoryUsage().rss - before) / MB;
    t.diagnostic(`30 unread answers of 15 MB: ${Math.round(heldBytes / MB)} MB held, RSS +${Math.round(grown)} MB`);
    assert.ok(heldBytes > 10 * MB, `${heldBytes} bytes`);
    assert.ok(heldBytes < 96 * MB, `${heldBytes} bytes`);
    const other = world.chat();
    assert.equal((await (await other).arrayBuffer()).byteLength > 15 * MB, true);
    for (const socket of callers) socket.destroy();
    await eventually(() => world.gateway.queue().heldBytes === 0, 'nothing held');
  });
});

describe('pipelined requests', () => {
  it('of 40 connections with 500 each are all answered, and hold up nobody else', { timeout: 120_000 }, async (t) => {
    const world = await start(t, 100);
    const get = 'GET /v1/models HTTP/1.1\r\nHost: localhost\r\n';
    const flood = `${get}\r\n`.repeat(499) + `${get}Connection: close\r\n\r\n`;
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    let answered = 0;
    const floods = Array.from({ length: 40 }, () => {
      const socket = raw(t, world, flood);
      socket.on('data', (piece) => (answered += piece.toString('latin1').split('HTTP/1.1 200').length - 1));
      return new Promise<void>((resolve) => socket.on('close', () => resolve()));
    });
    await Promise.all(floods);
    t.diagnostic(
      `20,000 pipelined requests: the loop was held up ${Math.round(delay.max / 1e6)} ms at most, p99 ${Math.round(delay.percentile(99) / 1e6)} ms`,
    );
    assert.ok(answered > 19_900, `${answered} answers, counted in pieces`);
    assert.ok(delay.max / 1e6 < 1000, `${delay.max / 1e6} ms`);
  });
});
