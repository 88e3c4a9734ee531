/** Many identical requests at once, over real sockets: one upstream call, and no caller is affected by another. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { chatBody, startGateway } from './harness.ts';
import type { TestGateway } from './harness.ts';
import { eventually, startWorld } from './world.ts';
import type { World } from './world.ts';

const CALLERS = 500;
const KEY = { 'idempotency-key': 'the-same' };

/** How the same is asked for: by the cache's word or by a key's. */
const WAYS_TO_SHARE = [
  ['with a cache', { policy: { cache: { enabled: true } } }, {}],
  ['under one idempotency key, the cache off', {}, KEY],
] as const;

async function startSlowWorld(t: TestContext, config: object): Promise<World> {
  const timing = { plainMs: 1_500, firstTokenMs: 1_000, tokensPerSecond: 10 };
  return startWorld(t, { storms: { a: { seed: 5, timing } }, config });
}

function assertNothingHeld(gateway: TestGateway): void {
  const queue = gateway.gateway.queue();
  assert.deepEqual([queue.waiting, queue.inFlight, queue.heldBytes], [0, 0, 0]);
}

for (const [how, config, headers] of WAYS_TO_SHARE) {
  describe(`${CALLERS} identical requests ${how}`, () => {
    for (const stream of [false, true]) {
      it(`are one upstream call, ${stream ? 'streaming' : 'non-streaming'}`, async (t) => {
        const world = await startSlowWorld(t, config);
        const seen = await Promise.all(Array.from({ length: CALLERS }, () => world.ask({ stream }, headers)));
        assert.equal(world.storms['a']!.stats().calls, 1);
        assert.ok(seen.every(({ status, broken }) => status === 200 && !broken));
        assert.equal(new Set(seen.map(({ text }) => text)).size, 1, 'the same for all');
        const uses = seen.map((each) => each.headers.get('x-breakwater-cache') ?? 'made');
        assert.equal(uses.filter((use) => use === 'made').length, 1);
        assert.ok(uses.every((use) => use !== 'stale'));
        assert.equal(new Set(seen.map((each) => each.headers.get('x-request-id'))).size, CALLERS, 'each has its own id');
        assert.equal(world.eventsOf('finished').length, CALLERS);
        assertNothingHeld(world);
      });
    }

    it('lose nothing when the first caller disconnects in the middle of its stream', async (t) => {
      const world = await startSlowWorld(t, config);
      const first = leavingCaller(world, headers);
      await first.begun;
      const others = Array.from({ length: 20 }, () => world.ask({ stream: true }, headers));
      await eventually(() => world.eventsOf('received').length === 21, 'all the others');
      first.leave();
      const seen = await Promise.all(others);
      assert.equal(world.storms['a']!.stats().calls, 1);
      assert.equal(new Set(seen.map(({ text }) => text)).size, 1);
      assert.match(seen[0]!.text, /\[DONE\]/);
      await eventually(() => world.gateway.queue().inFlight === 0, 'the end of all');
      assert.equal(world.eventsOf('finished').filter(({ outcome }) => outcome === 'cancelled').length, 1);
      assertNothingHeld(world);
    });
  });
}

function leavingCaller(world: World, headers: Record<string, string>): { begun: Promise<void>; leave(): void } {
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  const ask = httpRequest(`${world.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    agent: false,
  });
  ask.on('error', () => {});
  ask.on('response', (response) => response.on('error', () => {}).once('data', () => resolve()));
  ask.end(JSON.stringify(chatBody({ stream: true })));
  return { begun, leave: () => void ask.destroy() };
}

describe('a caller who stops reading', () => {
  it('delays nobody else, uses bounded memory, and is disconnected', async (t) => {
    const STREAM_BYTES = 48 * 1024 * 1024;
    const provider = await startProvider(t, STREAM_BYTES);
    const providers = { a: { protocol: 'openai' as const, baseUrl: provider, apiKey: 'sk-test' } };
    const gateway = await startGateway({ providers, models: { fast: ['a/m'] }, policy: { cache: { enabled: true } } });
    t.after(() => gateway.close());
    const body = JSON.stringify(chatBody({ stream: true }));
    const asleep = await openStream(gateway, body);
    t.after(() => asleep.destroy());
    const awake = await Promise.all([openStream(gateway, body), openStream(gateway, body)]);
    let heldMax = 0;
    const sizes = awake.map(async (response) => {
      let bytes = 0;
      let end = '';
      for await (const chunk of response) {
        bytes += (chunk as Buffer).length;
        end = (chunk as Buffer).subarray(-40).toString();
        heldMax = Math.max(heldMax, gateway.gateway.queue().heldBytes);
      }
      return { bytes, end };
    });
    for (const { bytes, end } of await Promise.all(sizes)) {
      assert.ok(bytes > STREAM_BYTES);
      assert.match(end, /\[DONE\]/);
    }
    // The log is kept from its beginning up to 16 MB, and then only what somebody has still to take.
    assert.ok(heldMax <= 18 * 1024 * 1024, `${heldMax} bytes held`);
    await eventually(() => gateway.gateway.queue().inFlight === 0, 'the end of all');
    const outcomes = gateway.eventsOf('finished').map(({ outcome }) => outcome);
    assert.deepEqual(
      outcomes.toSorted((a, b) => a.localeCompare(b)),
      ['interrupted', 'success', 'success'],
    );
    assertNothingHeld(gateway);
    let rest = '';
    for await (const chunk of asleep) rest = (chunk as Buffer).toString().slice(-500);
    assert.match(rest, /fell more than 1 MB behind/);
    assert.doesNotMatch(rest, /\[DONE\]/);
  });
});

/** A provider whose every response is a stream of the given size. */
async function startProvider(t: TestContext, bytes: number): Promise<string> {
  const event = `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"${'words '.repeat(2_000)}"},"finish_reason":null}]}\n\n`;
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let sent = 0;
    const send = (): void => {
      while (sent < bytes) {
        sent += event.length;
        if (!response.write(event)) return void response.once('drain', send);
      }
      response.end('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
    };
    setTimeout(send, 300);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

/** Resolves with a response of which nothing has been read. */
function openStream(gateway: TestGateway, body: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const ask = httpRequest(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      agent: false,
    });
    ask.on('error', reject);
    ask.on('response', (response) => resolve(response.on('error', () => {})));
    ask.end(body);
  });
}

describe('a restart', () => {
  const open = (path: string): Promise<Store> => openStore(`sqlite:${path}`, { clock: systemClock, onWarning: () => {} });

  it('keeps cached and keyed responses in the file', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'breakwater-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, 'state.db');
    const first = await startWorld(t, { storms: { a: {} }, store: await open(path), config: { policy: { cache: { enabled: true } } } });
    const cached = await first.ask({ max_tokens: 500 });
    const keyed = await first.ask({ max_tokens: 700 }, KEY);
    const streamed = await first.ask({ max_tokens: 800, stream: true });
    await first.gateway.close();

    const calls = first.storms['a']!.stats().calls;

    const providers = { a: { protocol: 'openai' as const, baseUrl: first.storms['a']!.url, apiKey: 'sk-test' } };
    const config = { providers, models: { fast: ['a/m'] }, policy: { cache: { enabled: true } } };
    const second = await startGateway(config, { store: await open(path) });
    t.after(() => second.close());
    for (const [seen, body, headers] of [
      [cached, { max_tokens: 500 }, {}],
      [keyed, { max_tokens: 700 }, KEY],
      [streamed, { max_tokens: 800, stream: true }, {}],
    ] as const) {
      const again = await second.chat(body, headers);
      assert.equal(again.status, 200);
      assert.equal(again.headers.get('x-breakwater-cache'), 'hit');
      assert.equal(await again.text(), seen.text);
    }
    assert.equal((await second.chat({ max_tokens: 900 }, KEY)).status, 409, 'the key is still another request’s');
    assert.equal(first.storms['a']!.stats().calls, calls);
    assertNothingHeld(second);
  });

  it('with nothing in the file is a cold start', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'breakwater-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const store = await open(join(folder, 'state.db'));
    const world = await startWorld(t, { storms: { a: {} }, store, config: { policy: { cache: { enabled: true } } } });
    assert.equal((await world.ask({ max_tokens: 500 })).headers.get('x-breakwater-cache'), null);
    assert.equal((await world.ask({ max_tokens: 500 })).headers.get('x-breakwater-cache'), 'hit');
    assert.equal(world.storms['a']!.stats().calls, 1);
  });
});
