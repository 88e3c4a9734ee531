/** Callers who read nothing: what they cost us in memory, what they cost others in time, and when they are let go. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { createGzip } from 'node:zlib';
import { chatBody } from './harness.ts';
import type { Figures } from './gateway-process.ts';

const MB = 1024 * 1024;
const STREAM_BYTES = 100 * MB;

const eventOf = (content: string) =>
  `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":null}]}\n\n`;
const PLAIN = JSON.stringify({ id: 'x', choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }] });

/** What kind of stream the provider sends, by the name of the model. */
const KINDS: Readonly<Record<string, { readonly block: Buffer; readonly gzip: boolean }>> = {
  small: { block: Buffer.from(eventOf('some words here ').repeat(300)), gzip: false },
  // Above the largest packet, so that each has to be put together from several.
  large: { block: Buffer.from(eventOf('a'.repeat(256 * 1024))), gzip: false },
  // All of it comes in a few packets, and is a hundred times as large when it is unpacked.
  gzip: { block: Buffer.from(eventOf('some words here ').repeat(300)), gzip: true },
};

interface Provider {
  readonly url: string;
  /** Bytes that it was able to send, before any encoding, by model. */
  readonly sent: Map<string, number>;
}

async function startProvider(t: TestContext): Promise<Provider> {
  const sent = new Map<string, number>();
  const server = createServer((request, response) => void answer(request, response, sent));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, sent };
}

async function answer(request: IncomingMessage, response: ServerResponse, sent: Map<string, number>): Promise<void> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk as string;
  const { model, stream } = JSON.parse(text) as { model: string; stream?: boolean };
  if (stream !== true) {
    response.writeHead(200, { 'content-type': 'application/json' }).end(PLAIN);
    return;
  }
  const { block, gzip } = KINDS[model]!;
  response.writeHead(200, { 'content-type': 'text/event-stream', ...(gzip ? { 'content-encoding': 'gzip' } : {}) });
  const source = blocks(block, model, sent);
  const sending = gzip ? pipeline(source, createGzip({ level: 1 }), response) : pipeline(source, response);
  await sending.catch(() => {}); // the caller has left
}

function* blocks(block: Buffer, model: string, sent: Map<string, number>): Generator<Buffer> {
  for (let bytes = 0; bytes < STREAM_BYTES; bytes += block.length) {
    sent.set(model, bytes);
    yield block;
  }
  yield Buffer.from(`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`);
}

interface GatewayProcess {
  readonly url: string;
  figures(): Promise<Figures>;
}

async function startGatewayProcess(t: TestContext, provider: Provider): Promise<GatewayProcess> {
  const config = {
    providers: { a: { protocol: 'openai', baseUrl: provider.url, apiKey: 'sk-test' } },
    models: Object.fromEntries(['plain', ...Object.keys(KINDS)].map((model) => [model, [`a/${model}`]])),
  };
  const child = fork(new URL('gateway-process.ts', import.meta.url), [JSON.stringify(config)]);
  t.after(() => child.kill());
  const [url] = (await once(child, 'message')) as [string];
  return {
    url,
    async figures() {
      child.send('figures');
      const [figures] = (await once(child, 'message')) as [Figures];
      return figures;
    },
  };
}

/** Asks for a stream and reads nothing of it. */
function askAndReadNothing(url: string, model: string): Socket {
  const body = JSON.stringify(chatBody({ model, stream: true }));
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.pause();
  socket.on('error', () => {});
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  return socket;
}

async function askPlainly(url: string): Promise<number> {
  const startedAt = performance.now();
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(chatBody({ model: 'plain' })) };
  const response = await fetch(`${url}/v1/chat/completions`, init);
  assert.equal(response.status, 200);
  await response.text();
  return performance.now() - startedAt;
}

/** What a request takes when nothing else is in its way: the machine may be busy with other tests. */
async function quickMs(url: string): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 150; i++) times.push(await askPlainly(url));
  return times.toSorted((a, b) => a - b)[15]!;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A caller leaves, and nothing of it is left. */
async function leave(gateway: GatewayProcess, sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) socket.destroy();
  for (let i = 0; i < 100; i++) {
    if ((await gateway.figures()).inFlight === 0) return;
    await sleep(20);
  }
  assert.fail('what a caller left behind runs on');
}

/** What one caller who reads nothing costs, in MB, and what a request beside it takes. */
interface Cost {
  readonly liveMB: number;
  readonly rssMB: number;
  readonly sentMB: number;
  readonly quietMs: number;
  readonly besideMs: number;
}

const isLittle = (cost: Cost): boolean => cost.liveMB < 4 && cost.rssMB < 4 && cost.besideMs < cost.quietMs * 2 + 3;

async function costOfOne(gateway: GatewayProcess, provider: Provider, model: string): Promise<Cost> {
  const quietMs = await quickMs(gateway.url);
  const before = await gateway.figures();
  provider.sent.clear();
  const socket = askAndReadNothing(gateway.url, model);
  let most = { rss: 0, live: 0 };
  for (let i = 0; i < 10; i++) {
    await sleep(100);
    const { rss, live } = await gateway.figures();
    most = { rss: Math.max(most.rss, rss), live: Math.max(most.live, live) };
  }
  const sentMB = (provider.sent.get(model) ?? 0) / MB;
  const besideMs = await quickMs(gateway.url);
  await leave(gateway, [socket]);
  return { liveMB: (most.live - before.live) / MB, rssMB: (most.rss - before.rss) / MB, sentMB, quietMs, besideMs };
}

describe('a caller who reads nothing while 100 MB stream in', () => {
  for (const model of Object.keys(KINDS)) {
    it(`costs less than 4 MB, and others no time: ${model}`, async (t) => {
      const provider = await startProvider(t);
      const gateway = await startGatewayProcess(t, provider);
      for (let round = 0; round < 3; round++) {
        await quickMs(gateway.url);
        const first = askAndReadNothing(gateway.url, model);
        await sleep(400);
        await leave(gateway, [first]);
      }
      // What truly grows grows each time; a machine that is busy with other tests is not busy each time.
      let cost = await costOfOne(gateway, provider, model);
      for (let round = 0; round < 2 && !isLittle(cost); round++) cost = await costOfOne(gateway, provider, model);
      t.diagnostic(`${model}: ${JSON.stringify(cost)}`);
      assert.ok(isLittle(cost), JSON.stringify(cost));
      if (model !== 'gzip') assert.ok(cost.sentMB < STREAM_BYTES / MB / 2, 'the provider waits');
    });
  }

  it('costs as much again for each of three hundred others', async (t) => {
    const callers = 300;
    const provider = await startProvider(t);
    const gateway = await startGatewayProcess(t, provider);
    const before = await gateway.figures();
    const sockets = Array.from({ length: callers }, () => askAndReadNothing(gateway.url, 'small'));
    for (let i = 0; i < 50 && (await gateway.figures()).inFlight < callers; i++) await sleep(200);
    await sleep(1000);
    const after = await gateway.figures();
    assert.equal(after.inFlight, callers);
    const each = (after.live - before.live) / callers;
    t.diagnostic(`${(each / 1024).toFixed(0)} KB live each, ${((after.rss - before.rss) / callers / 1024).toFixed(0)} KB of the process`);
    assert.ok(each < 0.5 * MB, `${each / 1024} KB for each`);
    await leave(gateway, sockets);
  });
});
