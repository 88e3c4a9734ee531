/** What a library has begun at its gateway: bounded while the gateway is frozen, and at the close of the library. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createBreakwater, type LibraryConfig } from '../../src/index.ts';
import { createManualClock, type ManualClock } from '../../src/testing/manual-clock.ts';
import { eventually } from '../e2e/world.ts';

const FIRST = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n';

/** A gateway whose responses the test writes. */
async function stage(t: TestContext) {
  const state = { isFrozen: false, breaksOff: false, connections: 0, looks: 0, calls: [] as ServerResponse[] };
  const server = createServer((request, response) => {
    if (request.url!.startsWith('/health')) {
      state.looks++;
      if (!state.isFrozen) response.setHeader('content-type', 'application/json').end('{"status":"ready","libraries":1}');
      return;
    }
    state.calls.push(response);
    if (state.breaksOff) return void request.socket.destroy();
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-request-id': 'req_1' }).write(FIRST);
  });
  server.on('connection', (socket) => {
    state.connections++;
    socket.on('close', () => state.connections--);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const config: LibraryConfig = {
    gateway: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    providers: { p: { protocol: 'openai', baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-test' } },
    models: { fast: ['p/m'] },
  };
  return { state, config };
}

function brokenOff(why: string): (error: TypeError) => boolean {
  return ({ name, message, cause }) => name === 'TypeError' && message === 'terminated' && (cause as Error).message === why;
}

/** Advances the clock slowly until the promise has settled, as it waits for real sockets as well. */
async function settled<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  void Promise.allSettled([promise]).then(() => (isSettled = true));
  for (; !isSettled; await new Promise(setImmediate)) await clock.advanceAsync(0.1);
  return promise;
}

function ask(breakwater: { readonly fetch: typeof fetch }): Promise<Response> {
  return breakwater.fetch('http://breakwater/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'fast', stream: true, messages: [{ role: 'user', content: 'hi' }] }),
  });
}

void test('a stream breaks off when its gateway freezes after the beginning', async (t) => {
  const { state, config } = await stage(t);
  const clock = createManualClock();
  const breakwater = await settled(clock, createBreakwater(config, { clock }));
  t.after(() => settled(clock, breakwater.close()));
  const reader = (await ask(breakwater)).body!.getReader();
  assert.equal(Buffer.from((await reader.read()).value).toString(), FIRST);
  const rest = assert.rejects(reader.read(), brokenOff('the gateway does not respond'));
  state.isFrozen = true;
  for (let looks = 0; looks < 2; looks++) {
    const before = state.looks;
    await clock.advanceAsync(1_000);
    await eventually(() => state.looks > before, 'a health check');
    await clock.advanceAsync(1_000);
  }
  await rest;
});

void test('a request that fails twice at a gateway that is ready fails, and the gateway is used for the next one', async (t) => {
  const { state, config } = await stage(t);
  const clock = createManualClock();
  const breakwater = await settled(clock, createBreakwater(config, { clock }));
  t.after(() => settled(clock, breakwater.close()));
  const warnings: string[] = [];
  breakwater.on('warning', ({ message }) => void warnings.push(message));
  state.breaksOff = true;
  await assert.rejects(ask(breakwater), { name: 'TypeError' });
  assert.equal(state.calls.length, 2);
  state.breaksOff = false;
  const response = await ask(breakwater);
  assert.equal(response.headers.get('x-request-id'), 'req_1');
  assert.deepEqual([state.calls.length, warnings], [3, []]);
  await response.body!.cancel();
});

void test('close refuses new requests and waits for the streams that run at the gateway', async (t) => {
  const { state, config } = await stage(t);
  const breakwater = await createBreakwater(config);
  const running = await ask(breakwater);
  let isClosed = false;
  const closed = breakwater.close().then(() => (isClosed = true));
  const refused = await ask(breakwater);
  assert.equal(refused.status, 503);
  assert.match(await refused.text(), /shutting_down/);
  assert.equal(state.calls.length, 1);
  assert.equal(isClosed, false);
  state.calls[0]!.end('data: [DONE]\n\n');
  assert.equal(await running.text(), `${FIRST}data: [DONE]\n\n`);
  await closed;
  await eventually(() => state.connections === 0, 'the end of all connections');
});

void test('close aborts the streams that run at the gateway after server.drainTimeout', async (t) => {
  const { state, config } = await stage(t);
  const breakwater = await createBreakwater({ ...config, server: { drainTimeout: '150ms' } });
  const reader = (await ask(breakwater)).body!.getReader();
  await reader.read();
  const startedAt = performance.now();
  const closed = breakwater.close();
  await assert.rejects(reader.read(), brokenOff('the library was closed'));
  assert.ok(performance.now() - startedAt > 140);
  await closed;
  await eventually(() => state.connections === 0, 'the end of all connections');
});

void test('a library that fails to start leaves no connection to its gateway', async (t) => {
  const { state, config } = await stage(t);
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-check-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const check = join(folder, 'broken.mjs');
  writeFileSync(check, 'throw new Error("broken")');
  await assert.rejects(createBreakwater({ ...config, policy: { quality: { check } } }), /broken\.mjs can't be loaded/);
  assert.ok(state.looks > 0);
  await eventually(() => state.connections === 0, 'the end of all connections');
});
