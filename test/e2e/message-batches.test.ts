/** Anthropic's message batches, by the official SDK, over real sockets. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import Anthropic from '@anthropic-ai/sdk';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startBatchProvider, type Behaviour } from './batch-provider.ts';
import { startGateway } from './harness.ts';
import { eventually } from './world.ts';

type Result = Anthropic.Messages.MessageBatchIndividualResponse & { readonly breakwater?: object };
type Requests = Anthropic.Messages.BatchCreateParams['requests'];

const one = (id: string, prompt = id, more: object = {}): Requests[number] => ({
  custom_id: id,
  params: { model: 'fast', max_tokens: 50, messages: [{ role: 'user', content: prompt }], ...more },
});

async function stage(t: TestContext, behave: Behaviour = () => undefined, more: Partial<ConfigInput> = {}) {
  const provider = await startBatchProvider(t, behave);
  const a = { protocol: 'openai' as const, baseUrl: provider.url, apiKey: 'sk-test', limits: { concurrency: 20 } };
  const gateway = await startGateway({ providers: { a }, models: { fast: ['a/m'], other: ['a/n'] }, ...more });
  t.after(() => gateway.close());
  const sdk = (apiKey = 'unused'): Anthropic => new Anthropic({ baseURL: gateway.url, apiKey, maxRetries: 0 });
  const { batches } = sdk().messages;
  return {
    ...gateway,
    provider,
    sdk,
    batches,
    post: (...args: Parameters<typeof gateway.post>) => gateway.post(...args),
    ended: async (id: string) => {
      for (;;) {
        const batch = await batches.retrieve(id);
        if (batch.processing_status === 'ended') return batch;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    results: async (id: string): Promise<Result[]> => {
      const all: Result[] = [];
      for await (const result of await batches.results(id)) all.push(result);
      return all;
    },
  };
}

test('a batch is created, runs to its end, and its results are read by the SDK', async (t) => {
  const { batches, ended, results, provider } = await stage(t);
  const requests = Array.from({ length: 50 }, (_, n) => one(`r-${n}`, `p${n}`, n % 2 === 0 ? {} : { model: 'other' }));
  const batch = await batches.create({ requests });
  assert.match(batch.id, /^msgbatch_/);
  assert.deepEqual(
    [batch.type, batch.processing_status, batch.results_url, batch.ended_at, batch.archived_at, batch.cancel_initiated_at],
    ['message_batch', 'in_progress', null, null, null, null],
  );
  assert.deepEqual(batch.request_counts, { processing: 50, succeeded: 0, errored: 0, canceled: 0, expired: 0 });
  assert.equal(Date.parse(batch.expires_at) - Date.parse(batch.created_at), 86_400_000);
  const done = await ended(batch.id);
  assert.deepEqual(done.request_counts, { processing: 0, succeeded: 50, errored: 0, canceled: 0, expired: 0 });
  assert.ok(Date.parse(done.ended_at!) >= Date.parse(done.created_at));
  const found = await results(batch.id);
  assert.deepEqual(found.map((result) => result.custom_id).sort(), requests.map((request) => request.custom_id).sort());
  const { result } = found.find((line) => line.custom_id === 'r-7')!;
  assert.ok(result.type === 'succeeded');
  assert.deepEqual([result.message.type, result.message.role], ['message', 'assistant']);
  assert.deepEqual(
    result.message.content.map((block) => (block.type === 'text' ? block.text : '')),
    ['Answer to p7.'],
  );
  assert.ok([...provider.calls.values()].every((calls) => calls === 1));
  // The URL itself can be fetched, and the body says what it is.
  const response = await fetch(done.results_url!);
  assert.deepEqual([response.status, response.headers.get('content-type')], [200, 'application/x-jsonl']);
  assert.equal((await response.text()).trimEnd().split('\n').length, 50);
});

test('a request that can not succeed is errored, alone, with an error of Anthropic’s form', async (t) => {
  const { batches, ended, results, provider } = await stage(t, (prompt) => (prompt === 'bad' ? { status: 400 } : undefined));
  const batch = await batches.create({
    requests: [
      one('good'),
      one('refused', 'bad'),
      one('streamed', 'x', { stream: true }),
      one('unknown', 'x', { model: 'none' }),
      { custom_id: 'broken', params: { model: 'fast', messages: 7 } as never },
      { custom_id: 'empty', params: {} as never },
    ],
  });
  const done = await ended(batch.id);
  assert.deepEqual(done.request_counts, { processing: 0, succeeded: 1, errored: 5, canceled: 0, expired: 0 });
  const types = new Map<string, unknown>();
  for (const { custom_id: id, result } of await results(batch.id)) {
    if (result.type === 'succeeded') continue;
    assert.ok(result.type === 'errored');
    assert.deepEqual([result.error.type, typeof result.error.error.message], ['error', 'string'], id);
    types.set(id, result.error.error.type);
  }
  const invalid = 'invalid_request_error';
  assert.deepEqual(Object.fromEntries(types), {
    refused: invalid,
    streamed: invalid,
    unknown: 'not_found_error',
    broken: invalid,
    empty: invalid,
  });
  assert.deepEqual([...provider.calls.keys()].sort(), ['bad', 'good']);
});

test('what no batch can be is refused at once, with its place, and leaves nothing', async (t) => {
  const { batches, post } = await stage(t);
  for (const [body, message] of [
    [{}, /requests: field required/],
    [[], /must be a JSON object/],
    [{ requests: {} }, /requests: must be an array/],
    [{ requests: [] }, /at least one request/],
    [{ requests: [one('a'), 7] }, /requests\.1: must be an object/],
    [{ requests: [{ params: {} }] }, /requests\.0\.custom_id: field required/],
    [{ requests: [one('a b')] }, /requests\.0\.custom_id: must be 1 to 64 letters/],
    [{ requests: [one('x'.repeat(65))] }, /requests\.0\.custom_id: must be 1 to 64 letters/],
    [{ requests: [one('a'), one('b'), one('a')] }, /requests\.2\.custom_id: a is also the custom_id of requests\.0/],
    [{ requests: [{ custom_id: 'a' }] }, /requests\.0\.params: field required/],
    [{ requests: [{ custom_id: 'a', params: [] }] }, /requests\.0\.params: must be an object/],
    ['{"requests":[{"custom_id":"a","params":{"model":"fast"}}', /is truncated/],
    ['{"requests":[{"custom_id":"a","params":{nope}}]}', /requests\.0: it is/],
    ['{"requests":[{"custom_id":"a","params":{}}]} x', /not valid JSON/],
    ['', /is truncated/],
  ] as const) {
    const response = await post('/v1/messages/batches', body);
    const answer = (await response.json()) as { type: string; error: { type: string; message: string } };
    assert.deepEqual([response.status, answer.type, answer.error.type], [400, 'error', 'invalid_request_error'], String(message));
    assert.match(answer.error.message, message);
  }
  const large = await post('/v1/messages/batches', `{"requests":[{"custom_id":"a","params":{"x":"${'x'.repeat(33 * 1024 * 1024)}"}}]}`);
  assert.equal(large.status, 413);
  assert.equal((await batches.list()).data.length, 0);
});

test('a batch of 100,000 requests is taken, one more is not', async (t) => {
  const { post, batches } = await stage(t, () => ({ hang: true }));
  const body = (count: number): string =>
    `{"requests":[${Array.from({ length: count }, (_, n) => `{"custom_id":"c${n}","params":{"model":"fast","max_tokens":1,"messages":[{"role":"user","content":"x"}]}}`).join(',')}]}`;
  const response = await post('/v1/messages/batches', body(100_000));
  const batch = (await response.json()) as Anthropic.Messages.MessageBatch;
  assert.deepEqual([response.status, batch.request_counts.processing], [200, 100_000]);
  const refused = await post('/v1/messages/batches', body(100_001));
  assert.match(await refused.text(), /a batch may hold 100000 requests/);
  assert.deepEqual((await batches.list()).data.map(({ id }) => id), [batch.id]); // prettier-ignore
});

test('a body may be encoded, and stand in any layout', async (t) => {
  const { url, ended, results } = await stage(t);
  const text = `\ufeff { "x": [1, {"requests": "]"}], "y": "}\\"", "z": 1.5 , "requests" : [ ${JSON.stringify(one('a', 'say "}]" \\'))} ,\n${JSON.stringify(one('b'))} ] , "w": null }\n`;
  const response = await fetch(`${url}/anthropic/v1/messages/batches`, {
    method: 'POST',
    headers: { 'content-encoding': 'gzip' },
    body: gzipSync(text),
  });
  assert.equal(response.status, 200);
  const batch = (await response.json()) as Anthropic.Messages.MessageBatch;
  assert.equal((await ended(batch.id)).request_counts.succeeded, 2);
  const [a] = (await results(batch.id)).filter((line) => line.custom_id === 'a');
  assert.ok(a!.result.type === 'succeeded');
  assert.deepEqual(a!.result.message.content.map((block) => (block.type === 'text' ? block.text : '')), ['Answer to say "}]" \\.']); // prettier-ignore
  const broken = await fetch(`${url}/v1/messages/batches`, { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: text });
  assert.deepEqual([broken.status, /not valid gzip/.test(await broken.text())], [400, true]);
});

test('a canceled batch ends with what was sent; the rest is canceled; then it can be deleted', async (t) => {
  const { batches, ended, results, provider, url } = await stage(t, () => ({ ms: 150 }));
  const batch = await batches.create({ requests: Array.from({ length: 200 }, (_, n) => one(`c${n}`)) });
  await eventually(() => provider.running() > 0, 'the first calls');
  await assert.rejects(batches.delete(batch.id), Anthropic.BadRequestError);
  await assert.rejects(batches.results(batch.id), /results/);
  assert.equal((await fetch(`${url}/v1/messages/batches/${batch.id}/results`)).status, 400);
  const canceled = await batches.cancel(batch.id);
  assert.equal(canceled.processing_status, 'canceling');
  assert.ok(Date.parse(canceled.cancel_initiated_at!) > 0);
  const { request_counts: counts } = await ended(batch.id);
  assert.deepEqual([counts.processing, counts.errored, counts.expired], [0, 0, 0]);
  assert.ok(counts.succeeded > 0 && counts.canceled > 100, JSON.stringify(counts));
  const types = (await results(batch.id)).map(({ result }) => result.type);
  assert.equal(types.filter((type) => type === 'canceled').length, counts.canceled);
  assert.equal(types.length, 200);
  await assert.rejects(batches.cancel(batch.id), Anthropic.BadRequestError);
  assert.deepEqual(await batches.delete(batch.id), { id: batch.id, type: 'message_batch_deleted' });
  await assert.rejects(batches.retrieve(batch.id), Anthropic.NotFoundError);
  await assert.rejects(batches.delete(batch.id), Anthropic.NotFoundError);
  await assert.rejects(batches.cancel(batch.id), Anthropic.NotFoundError);
  await assert.rejects(batches.retrieve('msgbatch_none'), Anthropic.NotFoundError);
});

test('requests that are not done in time have expired', async (t) => {
  const { post, ended, results } = await stage(t, () => ({ status: 503 }));
  const created = await post('/v1/messages/batches', { requests: [one('a')] }, { headers: { 'x-breakwater-deadline-ms': '1500' } });
  const batch = (await created.json()) as Anthropic.Messages.MessageBatch;
  assert.equal((await ended(batch.id)).request_counts.expired, 1);
  assert.deepEqual(await results(batch.id), [{ custom_id: 'a', result: { type: 'expired' } }]);
});

test('batches are paged by after_id and before_id, and are their client’s alone', async (t) => {
  const clients = ['web', 'app'].map((name) => ({ name, key: `${name}-key-0123456789` }));
  const { sdk } = await stage(t, () => undefined, { clients });
  const { batches } = sdk('web-key-0123456789').messages;
  const ids: string[] = [];
  for (const id of ['a', 'b', 'c', 'd', 'e']) ids.unshift((await batches.create({ requests: [one(id)] })).id);
  const listed: string[] = [];
  for await (const batch of batches.list({ limit: 2 })) listed.push(batch.id);
  assert.deepEqual(listed, ids);
  const before = await batches.list({ before_id: ids[3]!, limit: 2 });
  assert.deepEqual(
    [before.data.map(({ id }) => id), before.has_more, before.first_id, before.last_id],
    [[ids[1], ids[2]], true, ids[1], ids[2]],
  );
  const other = sdk('app-key-0123456789').messages.batches;
  assert.equal((await other.list()).data.length, 0);
  await assert.rejects(other.retrieve(ids[0]!), Anthropic.NotFoundError);
  await assert.rejects(other.cancel(ids[0]!), Anthropic.NotFoundError);
  await assert.rejects(other.delete(ids[0]!), Anthropic.NotFoundError);
  await assert.rejects(other.results(ids[0]!), Anthropic.NotFoundError);
  await assert.rejects(async () => other.list({ after_id: ids[0]! }), Anthropic.NotFoundError);
  await assert.rejects(batches.list({ limit: 0 }), Anthropic.BadRequestError);
});

test('the same creation with an idempotency key gives the same batch; another one is a conflict', async (t) => {
  const { post, batches } = await stage(t);
  const create = (...requests: Requests): Promise<Response> =>
    post('/v1/messages/batches', { requests }, { headers: { 'idempotency-key': 'k' } });
  const [first, second] = [await create(one('a')), await create(one('a'))];
  assert.deepEqual([first.status, second.status], [200, 200]);
  assert.equal(((await first.json()) as { id: string }).id, ((await second.json()) as { id: string }).id);
  assert.equal((await create(one('b'))).status, 409);
  assert.equal((await batches.list()).data.length, 1);
});

test('a body that breaks off leaves nothing', async (t) => {
  const { url, batches, gateway } = await stage(t);
  const { port } = new URL(url);
  const request = httpRequest({
    port,
    host: '127.0.0.1',
    method: 'POST',
    path: '/v1/messages/batches',
    headers: { 'content-length': '100000' },
  });
  request.on('error', () => {});
  request.write(`{"requests":[${JSON.stringify(one('a'))},`);
  await eventually(() => gateway.jobs!.open.some(({ state }) => state === 'receiving'), 'it is being received');
  assert.equal((await batches.list()).data.length, 0, 'it is not shown');
  request.destroy();
  await eventually(() => gateway.jobs!.open.length === 0, 'it is gone');
  assert.equal((await batches.list()).data.length, 0);
});

test('a target of the same dialect gets version and betas of the creation, and the parameters as they came', async (t) => {
  const seen: { headers: NodeJS.Dict<string | string[]>; body: string; url: string }[] = [];
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    seen.push({ headers: request.headers, body: Buffer.concat(pieces).toString(), url: request.url! });
    response.writeHead(200, { 'content-type': 'application/json' });
    const usage = { input_tokens: 1, output_tokens: 1 };
    const content = [{ type: 'text', text: 'Hello, world.' }];
    response.end(JSON.stringify({ id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content, stop_reason: 'end_turn', usage }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => void server.close());
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const { sdk, ended } = await stage(t, () => undefined, { providers: { a: { protocol: 'anthropic', baseUrl, apiKey: 'k' } } });
  const beta = sdk().beta.messages.batches;
  const { custom_id: id, params } = one('a', 'p', { container_note: 1.0 });
  const batch = await beta.create({ requests: [{ custom_id: id, params }], betas: ['files-api-2025-04-14'] });
  assert.equal((await ended(batch.id)).request_counts.succeeded, 1);
  const [call] = seen.filter(({ url }) => url.includes('/messages'));
  assert.equal(call!.headers['anthropic-version'], '2026-10-21');
  assert.match(String(call!.headers['anthropic-beta']), /files-api-2025-04-14/);
  assert.deepEqual(JSON.parse(call!.body), { ...params, model: 'm' });
});

test('the same in process, without a socket', async (t) => {
  const { fetch, ended } = await stage(t);
  const { batches } = new Anthropic({ baseURL: 'http://breakwater', apiKey: 'unused', maxRetries: 0, fetch }).messages;
  const batch = await batches.create({ requests: [one('a'), one('b')] });
  await ended(batch.id);
  const ids: string[] = [];
  for await (const { custom_id: id } of await batches.results(batch.id)) ids.push(id);
  assert.deepEqual(ids, ['a', 'b']);
});
