/** Batches and the store under them: damaged, full, shared by two processes, with calls of other clients beside them. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import OpenAI, { toFile } from 'openai';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { BreakwaterError } from '../../src/core/errors.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { startStorm } from '../../src/storm/index.ts';
import { openStore } from '../../src/store/open-store.ts';
import { chatLine, readLines, startBatchProvider, type Behaviour } from './batch-provider.ts';
import { startGateway, type TestGateway } from './harness.ts';
import { eventually } from './world.ts';

async function stage(t: TestContext, behave?: Behaviour) {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-batch-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const provider = await startBatchProvider(t, behave);
  const path = join(folder, 'state.db');
  const start = async (more: Partial<ConfigInput> = {}, seed = 1): Promise<TestGateway> => {
    const store = await openStore(`sqlite:${path}`, { clock: systemClock, onWarning: () => {} });
    const a = { protocol: 'openai' as const, baseUrl: provider.url, apiKey: 'sk-test', limits: { concurrency: 8 } };
    const gateway = await startGateway({ providers: { a }, models: { fast: ['a/m'] }, ...more }, { store, seed });
    t.after(() => gateway.close());
    return gateway;
  };
  return { path, provider, start };
}

async function create({ openai }: TestGateway, text: string, window = '24h'): Promise<OpenAI.Batch> {
  const file = await openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' });
  return openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: window as '24h' });
}

async function ended({ openai }: TestGateway, id: string): Promise<OpenAI.Batch> {
  for (;;) {
    const batch = await openai.batches.retrieve(id);
    if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const isUnavailable =
  (message: RegExp) =>
  (error: unknown): boolean =>
    error instanceof OpenAI.APIError && error.status === 503 && error.code === 'store_unavailable' && message.test(error.message);

test('a damaged database: requests go on, files and batches are refused with the reason', async (t) => {
  const { path, start } = await stage(t);
  await writeFile(path, 'this is no database. '.repeat(500));
  const gateway = await start();
  assert.equal((await gateway.chat()).status, 200);
  await assert.rejects(gateway.openai.files.list(), isUnavailable(/the store is damaged/));
  await assert.rejects(create(gateway, chatLine('a')), isUnavailable(/the store is damaged/));
  await assert.rejects(gateway.openai.batches.retrieve('batch_1'), isUnavailable(/the store is damaged/));
  assert.equal((await gateway.chat()).status, 200);
  await eventually(() => gateway.eventsOf('warning').some(({ message }) => /batches are paused/.test(message)), 'the warning');
});

test('a store that is full: what is new is refused with the reason, what was taken runs to its end', async (t) => {
  const { start, provider } = await stage(t, () => ({ ms: 20 }));
  const gateway = await start({ batch: { maxBytes: '2mb' } });
  const batch = await create(gateway, Array.from({ length: 200 }, (_, n) => chatLine(`c${n}`)).join('\n'));
  await assert.rejects(create(gateway, 'x'.repeat(3 * 1024 * 1024)), isUnavailable(/the store is full \(.*batch\.maxBytes, 2 MB\)/));
  assert.equal((await gateway.chat()).status, 200);
  const done = await ended(gateway, batch.id);
  assert.deepEqual([done.status, done.request_counts!.completed], ['completed', 200]);
  assert.equal(provider.calls.size, 201);
});

test('a store that is full takes new files again as soon as one is deleted', async (t) => {
  const { start } = await stage(t);
  const { openai } = await start({ batch: { maxBytes: '4mb' } });
  const upload = async (bytes: number): Promise<string> =>
    (await openai.files.create({ file: await toFile(Buffer.alloc(bytes, 'x'), 'in'), purpose: 'batch' })).id;
  const first = await upload(3 * 1024 * 1024);
  await assert.rejects(upload(3 * 1024 * 1024), isUnavailable(/batch\.maxBytes/));
  await openai.files.delete(first);
  let second: string | null = null;
  for (let tries = 0; second === null && tries < 100; tries++) second = await upload(2 * 1024 * 1024).catch(() => null);
  assert.equal((await openai.files.retrieve(second!)).bytes, 2 * 1024 * 1024);
});

test('a content that can not be read is refused with the reason, before anything of it is sent', async (t) => {
  const { start } = await stage(t);
  const { gateway, openai } = await start();
  const { id } = await openai.files.create({ file: await toFile(Buffer.from('x'), 'in'), purpose: 'batch' });
  const { files } = gateway.jobs!;
  const read = files.read.bind(files);
  t.mock.method(files, 'read', async function* () {
    yield* await Promise.reject<AsyncGenerator<Uint8Array>>(new BreakwaterError('store_unavailable', 'the store is too slow'));
  });
  await assert.rejects(openai.files.content(id), isUnavailable(/the store is too slow/));
  t.mock.method(files, 'read', read);
  assert.equal(await (await openai.files.content(id)).text(), 'x');
});

test('with several clients, one leaves half of the store to the others', async (t) => {
  const { start } = await stage(t);
  const clients = ['web', 'app'].map((name) => ({ name, key: `${name}-key-0123456789` }));
  const { url } = await start({ batch: { maxBytes: '8mb' }, clients });
  const upload = async (name: string, bytes: number): Promise<string> => {
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: `${name}-key-0123456789`, maxRetries: 0 });
    return (await openai.files.create({ file: await toFile(Buffer.alloc(bytes, 'x'), 'in'), purpose: 'batch' })).id;
  };
  await upload('web', 3 * 1024 * 1024);
  await assert.rejects(upload('web', 2 * 1024 * 1024), isUnavailable(/its share of batch\.maxBytes, 4 MB/));
  await upload('app', 3 * 1024 * 1024);
});

test('two gateways on one database share a batch, and no request is sent twice', async (t) => {
  const { start, provider } = await stage(t, () => ({ ms: 30 }));
  const [one, two] = [await start({}, 1), await start({}, 2)];
  const batch = await create(one, Array.from({ length: 300 }, (_, n) => chatLine(`c${n}`)).join('\n'));
  // The second one sees it at its next look: any call of its own about batches makes it look.
  await create(two, chatLine('own'));
  const done = await ended(two, batch.id);
  assert.deepEqual([done.status, done.request_counts!.completed], ['completed', 300]);
  const lines = readLines(await (await two.openai.files.content(done.output_file_id!)).text());
  assert.equal(new Set(lines.map((line) => line.custom_id)).size, 300);
  assert.ok([...provider.calls.values()].every((calls) => calls === 1));
  const shares = [one, two].map((gateway) => gateway.eventsOf('attempt').length);
  assert.ok(
    shares.every((share) => share > 20),
    `${shares.join(' and ')} calls`,
  );
});

test('a background response that one gateway runs is followed, and cancelled, at another one', async (t) => {
  const storm = await startStorm({ timing: { tokens: 60, tokensPerSecond: 40 } });
  t.after(() => storm.close());
  const { start } = await stage(t);
  const providers = { a: { protocol: 'openai' as const, baseUrl: storm.url, apiKey: 'sk-test' } };
  const [one, two] = [await start({ providers }, 1), await start({ providers }, 2)];
  const stream = await one.openai.responses.create({ model: 'fast', input: 'x', background: true, stream: true });
  const own: object[] = [];
  const others: object[] = [];
  let following: Promise<void> | null = null;
  for await (const event of stream) {
    own.push(event);
    if (event.type !== 'response.created') continue;
    const other = await two.openai.responses.retrieve(event.response.id, { stream: true });
    following = (async () => {
      for await (const seen of other) others.push(seen);
    })();
  }
  await following;
  assert.deepEqual(others, own);
  assert.ok(own.length > 60);
  assert.equal(storm.stats().calls, 1);
  const { id } = await one.openai.responses.create({ model: 'fast', input: 'x', background: true });
  await eventually(() => storm.stats().running > 0, 'the call');
  assert.equal((await two.openai.responses.cancel(id)).status, 'cancelled');
  await eventually(() => storm.stats().running === 0, 'the call is stopped at the next look');
});

test('a gateway that stops in order puts back what waits, and its successor goes on without a repeat', async (t) => {
  const { start, provider } = await stage(t, () => ({ ms: 40 }));
  const first = await start({}, 1);
  const batch = await create(first, Array.from({ length: 120 }, (_, n) => chatLine(`c${n}`)).join('\n'));
  while (provider.calls.size < 30) await new Promise((resolve) => setTimeout(resolve, 5));
  await first.gateway.drain();
  await first.close();
  const second = await start({}, 2);
  const done = await ended(second, batch.id);
  assert.deepEqual([done.status, done.request_counts!.completed], ['completed', 120]);
  assert.ok([...provider.calls.values()].every((calls) => calls === 1));
  const lines = readLines(await (await second.openai.files.content(done.output_file_id!)).text());
  assert.ok(lines.every((line) => line.breakwater === undefined));
});

test('a call that a stop cuts off is made again, and its line says so', async (t) => {
  const { start, provider } = await stage(t, (prompt, call) => ({ hang: call === 1 && prompt < 'c3' }));
  const first = await start({}, 1);
  const batch = await create(first, Array.from({ length: 6 }, (_, n) => chatLine(`c${n}`)).join('\n'));
  const completed = async (): Promise<number> => (await first.openai.batches.retrieve(batch.id)).request_counts!.completed;
  while (provider.calls.size < 6 || (await completed()) < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  await first.close();
  const second = await start({}, 2);
  const done = await ended(second, batch.id);
  assert.deepEqual([done.status, done.request_counts!.completed], ['completed', 6]);
  const lines = readLines(await (await second.openai.files.content(done.output_file_id!)).text());
  for (const { custom_id: id, breakwater } of lines) {
    const calls = provider.calls.get(id)!;
    assert.deepEqual([id, breakwater], [id, calls === 2 ? { repeated: 1 } : undefined]);
  }
  assert.deepEqual(
    [...provider.calls.values()].toSorted((one, other) => one - other),
    [1, 1, 1, 2, 2, 2],
  );
});

test('requests of callers go before a batch, and find a part of the capacity free', async (t) => {
  const { start, provider } = await stage(t, () => ({ ms: 50 }));
  const gateway = await start();
  await gateway.chat();
  const batch = await create(gateway, Array.from({ length: 400 }, (_, n) => chatLine(`c${n}`)).join('\n'));
  while (provider.running() < 5) await new Promise((resolve) => setTimeout(resolve, 5));
  const waits: number[] = [];
  for (let i = 0; i < 20; i++) {
    const response = await gateway.chat({ messages: [{ role: 'user', content: `caller ${i}` }] });
    waits.push(Number(response.headers.get('x-breakwater-queue-ms')));
  }
  assert.ok(provider.maxRunning() <= 8);
  assert.ok(
    waits.every((wait) => wait <= 5),
    `waited ${waits.join(', ')} ms`,
  );
  assert.equal((await ended(gateway, batch.id)).request_counts!.completed, 400);
  const jobs = gateway.eventsOf('received').filter(({ priority }) => priority === 'job');
  assert.equal(jobs.length, 400);
});

test('a request that waits for a limit until the window ends is not advised to use a batch, or a deadline of its own', async (t) => {
  const { start, provider } = await stage(t);
  const a = { protocol: 'openai' as const, baseUrl: provider.url, apiKey: 'sk-test', limits: { requestsPerMinute: 1, burst: 1 } };
  const gateway = await start({ providers: { a } });
  const done = await ended(gateway, (await create(gateway, ['x', 'y', 'z'].map((id) => chatLine(id)).join('\n'), '2s')).id);
  const errors = readLines(await (await gateway.openai.files.content(done.error_file_id!)).text());
  assert.equal(errors.length, 2);
  for (const { error } of errors) {
    assert.match(error!.message, /the last attempt: /);
    assert.doesNotMatch(error!.message, /or a batch|x-breakwater-deadline/);
  }
});

test('a caller may ask for the class of jobs, and a batch for a better one up to its client’s', async (t) => {
  const { start } = await stage(t);
  const gateway = await start();
  assert.equal((await gateway.chat({}, { 'x-breakwater-priority': 'job', 'x-breakwater-deadline-ms': '3600000' })).status, 200);
  const [received] = gateway.eventsOf('received');
  assert.deepEqual([received!.priority, received!.deadlineMs], ['job', 3_600_000]);
  const file = await gateway.openai.files.create({ file: await toFile(Buffer.from(chatLine('a')), 'in.jsonl'), purpose: 'batch' });
  const body = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' } as const;
  const batch = await gateway.openai.batches.create(body, { headers: { 'x-breakwater-priority': 'low' } });
  await ended(gateway, batch.id);
  assert.equal(gateway.eventsOf('received').at(-1)!.priority, 'low');
});
