/** What belongs to a target or a client holds whoever asks, and what becomes free is given on at once. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startStorm } from '../../src/storm/index.ts';
import { startGateway } from './harness.ts';

const KEY = 'sk-live-verysecret-1234567890';

async function answering(t: TestContext, status: number, body: unknown, headers: Record<string, string> = {}) {
  let calls = 0;
  const server = createServer((request, response) => {
    calls++;
    request.resume();
    request.on('end', () => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url, calls: () => calls };
}

test("a place in a client's own concurrency goes to its next request as soon as the last one ends", async (t) => {
  const storm = await startStorm({ timing: { plainMs: 50 } });
  t.after(() => storm.close());
  const gateway = await startGateway({
    providers: { a: { protocol: 'openai', baseUrl: storm.url, apiKey: 'k' } },
    models: { fast: ['a/m'] },
    clients: [{ name: 'app', key: 'client-key-1', limits: { concurrency: 1 } }],
  });
  t.after(() => gateway.close());
  const started = performance.now();
  const ask = () => gateway.chat({}, { authorization: 'Bearer client-key-1', 'x-breakwater-deadline-ms': '5000' });
  const answers = await Promise.all([ask(), ask(), ask()]);
  assert.deepEqual(
    answers.map((answer) => answer.status),
    [200, 200, 200],
  );
  assert.ok(performance.now() - started < 2_000);
});

test('a target that has just refused is not asked again for the place that became free', async (t) => {
  const provider = await answering(
    t,
    429,
    { error: { message: 'slow down', type: 'requests', code: 'rate_limit_exceeded' } },
    { 'retry-after': '5' },
  );
  const gateway = await startGateway({
    providers: { a: { protocol: 'openai', baseUrl: provider.url, apiKey: KEY, limits: { concurrency: 1 } } },
    models: { fast: ['a/m'] },
  });
  t.after(() => gateway.close());
  const answers = await Promise.all([1, 2, 3].map(() => gateway.chat({}, { 'x-breakwater-deadline-ms': '1000' })));
  assert.ok(answers.every((answer) => answer.status === 429));
  assert.equal(provider.calls(), 1);
});

test('a target isolated by hand is isolated for every model that names it', async (t) => {
  const storm = await startStorm();
  t.after(() => storm.close());
  const gateway = await startGateway({
    providers: { a: { protocol: 'openai', baseUrl: storm.url, apiKey: 'k' } },
    models: { fast: ['a/m'], other: { targets: ['a/m'], policy: { breaker: { consecutiveFailures: 2 } } } },
  });
  t.after(() => gateway.close());
  assert.ok(gateway.gateway.isolate('a/m'));
  for (const model of ['fast', 'other', 'a/m']) {
    const answer = await gateway.chat({ model }, { 'x-breakwater-deadline-ms': '500' });
    assert.equal(answer.status, 503, model);
  }
  assert.equal(storm.stats().calls, 0);
});

test('our credential reaches no caller, however a provider echoes it', async (t) => {
  const echo = { error: { message: `bad key ${KEY}`, type: 'invalid_request_error', code: null, param: null } };
  const answers = [
    await answering(t, 400, echo, { 'x-request-id': `id-${KEY}` }),
    await answering(t, 401, echo),
    await answering(t, 500, echo),
    await answering(t, 200, {
      id: KEY,
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content: KEY }, finish_reason: 'stop' }],
    }),
  ];
  const providers = Object.fromEntries(
    answers.map((provider, i) => [`p${i}`, { protocol: 'openai' as const, baseUrl: provider.url, apiKey: KEY }]),
  );
  const gateway = await startGateway({ providers, models: { all: ['p1/m', 'p2/m'] } });
  t.after(() => gateway.close());
  for (const model of ['p0/m', 'p1/m', 'p2/m', 'p3/m', 'all']) {
    const answer = await gateway.chat({ model }, { 'x-breakwater-deadline-ms': '2000' });
    const told = JSON.stringify([...answer.headers]) + (await answer.text());
    assert.ok(!told.includes(KEY), `${model}: ${told}`);
  }
  assert.ok(!JSON.stringify(gateway.events).includes(KEY));
});

test('a caller that leaves while the providers are asked for their models costs no call', async (t) => {
  const listed = Promise.withResolvers<void>();
  let posts = 0;
  const server = createServer((request, response) => {
    if (request.method === 'POST') posts++;
    else void listed.promise.then(() => response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[{"id":"late"}]}'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const gateway = await startGateway({
    providers: { a: { protocol: 'openai', baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, apiKey: KEY } },
  });
  t.after(() => gateway.close());
  const caller = new AbortController();
  const asked = gateway.fetch('http://x/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({ model: 'late', messages: [] }),
    signal: caller.signal,
  });
  caller.abort();
  await assert.rejects(asked);
  listed.resolve();
  const other = await gateway.fetch('http://x/v1/models');
  assert.equal(other.status, 200);
  assert.equal(posts, 0);
});
