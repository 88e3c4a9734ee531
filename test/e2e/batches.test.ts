/** OpenAI's files and batches, with the official SDK, over real sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import OpenAI, { toFile } from 'openai';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { chatLine, readLines, startBatchProvider, type BatchProvider, type Behaviour, type ResultLine } from './batch-provider.ts';
import { fastClock } from './fast-clock.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './harness.ts';

interface Stage extends TestGateway {
  readonly provider: BatchProvider;
  readonly upload: (text: string) => Promise<string>;
  readonly create: (text: string, more?: { window?: string; endpoint?: string; headers?: Record<string, string> }) => Promise<OpenAI.Batch>;
  /** The batch once it has ended. */
  readonly ended: (id: string) => Promise<OpenAI.Batch>;
  readonly results: (batch: OpenAI.Batch) => Promise<{ output: ResultLine[]; errors: ResultLine[] }>;
}

type Policy = ConfigInput['policy'];

async function stage(
  t: TestContext,
  behave: Behaviour = () => undefined,
  policy: Policy = {},
  more: TestGatewayOptions & Pick<ConfigInput, 'batch' | 'prices'> = {},
): Promise<Stage> {
  const provider = await startBatchProvider(t, behave);
  const a = { protocol: 'openai' as const, baseUrl: provider.url, apiKey: 'sk-test', limits: { concurrency: 20 } };
  const { batch, prices } = more;
  const gateway = await startGateway({ providers: { a }, models: { fast: ['a/m'], other: ['a/n'] }, policy, batch, prices }, more);
  t.after(() => gateway.close());
  const { openai } = gateway;
  const upload = async (text: string): Promise<string> =>
    (await openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' })).id;
  const read = async (id: string | null | undefined): Promise<ResultLine[]> =>
    id == null ? [] : readLines(await (await openai.files.content(id)).text());
  return {
    ...gateway,
    provider,
    upload,
    async create(text, { window = '24h', endpoint = '/v1/chat/completions', headers = {} } = {}) {
      const body = { input_file_id: await upload(text), endpoint, completion_window: window } as OpenAI.BatchCreateParams;
      return openai.batches.create(body, { headers });
    },
    async ended(id) {
      for (;;) {
        const batch = await openai.batches.retrieve(id);
        if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    results: async (batch) => ({ output: await read(batch.output_file_id), errors: await read(batch.error_file_id) }),
  };
}

const ids = (lines: readonly ResultLine[]): string[] => lines.map((line) => line.custom_id).sort();
const jsonLines = (...lines: unknown[]): string => lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');

test('files are uploaded, listed, read and deleted', async (t) => {
  const { openai, upload } = await stage(t);
  const content = `${chatLine('a')}\r\n\n${chatLine('ü')}`;
  const first = await upload(content);
  const second = await upload('x');
  const found = await openai.files.retrieve(first);
  assert.deepEqual([found.object, found.bytes, found.filename, found.purpose], ['file', Buffer.byteLength(content), 'in.jsonl', 'batch']);
  assert.equal(await (await openai.files.content(first)).text(), content);
  const listed: string[] = [];
  for await (const file of openai.files.list({ limit: 1 })) listed.push(file.id);
  assert.deepEqual(listed, [second, first]);
  assert.deepEqual(await openai.files.delete(first), { id: first, object: 'file', deleted: true });
  await assert.rejects(openai.files.retrieve(first), OpenAI.NotFoundError);
  await assert.rejects(openai.files.content(first), OpenAI.NotFoundError);
  await assert.rejects(openai.files.delete(first), OpenAI.NotFoundError);
  const expiring = await openai.files.create({
    file: await toFile(Buffer.from('y'), 'y'),
    purpose: 'batch',
    expires_after: { anchor: 'created_at', seconds: 3_600 },
  });
  assert.equal(expiring.expires_at, expiring.created_at + 3_600);
  await assert.rejects(openai.files.create({ file: await toFile(Buffer.from('x'), 'x'), purpose: 'user_data' }), /purpose must be batch/);
});

test('a malformed form is refused, and stores nothing', async (t) => {
  const { url, openai } = await stage(t);
  const post = (body: string, type = 'multipart/form-data; boundary=x'): Promise<Response> =>
    fetch(`${url}/v1/files`, { method: 'POST', headers: { 'content-type': type }, body });
  const part = (name: string, value: string): string => `--x\r\ncontent-disposition: form-data; name="${name}"${value}\r\n`;
  for (const [body, message] of [
    [`${part('file', '; filename="a"\r\n\r\nabc')}`, /ends before its final boundary/],
    [`${part('purpose', '\r\n\r\nbatch')}--x--\r\n`, /file is missing/],
    [`${part('file', '; filename="a"\r\n\r\nabc')}--x--\r\n`, /purpose is missing/],
    [`${part('file', '\r\n\r\nabc')}--x--\r\n`, /must be a file/],
    ['nothing', /does not begin with its boundary|ends before/],
  ] as const) {
    const response = await post(body);
    assert.deepEqual([response.status, message.test(await response.text())], [400, true], String(message));
  }
  assert.equal((await post('{}', 'application/json')).status, 400);
  assert.equal((await openai.files.list()).data.length, 0);
});

test('a batch of chat completions runs to its end, with lines of different models', async (t) => {
  const { create, ended, results, openai, provider } = await stage(t);
  const lines = Array.from({ length: 120 }, (_, n) => chatLine(`c${n}`, `p${n}`, n % 2 === 0 ? {} : { model: 'other' }));
  const batch = await create(lines.join('\n'));
  assert.deepEqual(
    [batch.object, batch.status, batch.endpoint, batch.completion_window],
    ['batch', 'validating', '/v1/chat/completions', '24h'],
  );
  assert.equal(batch.expires_at, batch.created_at + 86_400);
  const done = await ended(batch.id);
  assert.deepEqual([done.status, done.request_counts, done.error_file_id], ['completed', { total: 120, completed: 120, failed: 0 }, null]);
  for (const at of [done.in_progress_at, done.finalizing_at, done.completed_at]) assert.ok(at! >= done.created_at);
  assert.equal(done.usage!.total_tokens, 120 * 12);
  const { output } = await results(done);
  assert.deepEqual(ids(output), lines.map((_, n) => `c${n}`).sort());
  const line = output.find(({ custom_id: id }) => id === 'c7')!;
  assert.match(line.id, /^batch_req_/);
  assert.equal(line.error, null);
  assert.equal(line.response!.status_code, 200);
  assert.equal(line.response!.body.choices![0]!.message.content, 'Answer to p7.');
  assert.equal(line.breakwater, undefined);
  assert.ok([...provider.calls.values()].every((calls) => calls === 1));
  const file = await openai.files.retrieve(done.output_file_id!);
  assert.deepEqual([file.purpose, file.bytes], ['batch_output', Buffer.byteLength(await (await openai.files.content(file.id)).text())]);
  assert.ok(
    (await openai.files.list()).data.some(({ id }) => id === done.output_file_id),
    'it is listed',
  );
});

test('the cost of a batch is that of all calls, also of rounds and requests that failed', async (t) => {
  const behave: Behaviour = (prompt, call) => {
    if (prompt !== 'good' && call === 1) return { more: { choices: [] } };
    return prompt === 'bad' ? { status: 400 } : undefined;
  };
  const price = { input: 1e6, output: 1e6 };
  const { create, ended, provider } = await stage(t, behave, { maxAttempts: 1 }, { prices: { 'a/m': price } });
  const done = await ended((await create(jsonLines(chatLine('good'), chatLine('again'), chatLine('bad')))).id);
  assert.deepEqual(done.request_counts, { total: 3, completed: 2, failed: 1 });
  assert.deepEqual([...provider.calls.values()], [1, 2, 2]);
  const cost = (done as OpenAI.Batch & { breakwater?: object }).breakwater;
  assert.deepEqual(cost, { cost_usd: 4 * 12, priced_requests: 2 }, 'of all but the refused call');
});

for (const [endpoint, body] of [
  ['/v1/completions', { prompt: 'Once' }],
  ['/v1/embeddings', { input: ['a', 'b'] }],
] as const) {
  test(`a batch for ${endpoint}`, async (t) => {
    const { create, ended, results } = await stage(t);
    const done = await ended(
      (await create(jsonLines({ custom_id: 'one', method: 'POST', url: endpoint, body: { model: 'fast', ...body } }), { endpoint })).id,
    );
    assert.equal(done.status, 'completed');
    assert.equal((await results(done)).output[0]!.response!.status_code, 200);
  });
}

test('a file with faults is refused as a whole, with the line of each fault', async (t) => {
  const { create, ended, provider } = await stage(t);
  const good = (id: string): object => JSON.parse(chatLine(id)) as object;
  const batch = await create(
    jsonLines(
      good('a'),
      'not json',
      { ...good('b'), method: 'GET' },
      '',
      { ...good('c'), url: '/v1/embeddings' },
      good('a'),
      { method: 'POST', url: '/v1/chat/completions', body: {} },
      { ...good('d'), body: { messages: [] } },
      { ...good('e'), body: 'text' },
      chatLine('f', 'p', { stream: true }),
    ),
  );
  const done = await ended(batch.id);
  assert.equal(done.status, 'failed');
  assert.deepEqual(
    done.errors!.data!.map(({ line, code, param }) => [line, code, param]),
    [
      [2, 'invalid_json_line', null],
      [3, 'invalid_method', 'method'],
      [5, 'invalid_url', 'url'],
      [6, 'duplicate_custom_id', 'custom_id'],
      [7, 'missing_required_parameter', 'custom_id'],
      [8, 'invalid_request', 'body.model'],
      [9, 'invalid_request', 'body'],
      [10, 'invalid_request', 'body.stream'],
    ],
  );
  assert.ok(done.failed_at !== null && done.output_file_id === null);
  assert.equal(provider.calls.size, 0, 'nothing runs');
  const empty = await ended((await create('\n\n')).id);
  assert.deepEqual([empty.status, empty.errors!.data![0]!.code], ['failed', 'empty_file']);
});

test('unsupported batches are refused at once, with the field', async (t) => {
  const { openai, upload } = await stage(t);
  const file = await upload(chatLine('a'));
  const fine = { input_file_id: file, endpoint: '/v1/chat/completions', completion_window: '24h' };
  for (const [change, status, param] of [
    [{ input_file_id: 'file-none' }, 404, 'input_file_id'],
    [{ endpoint: '/v1/moderations' }, 400, 'endpoint'],
    [{ endpoint: '/v1/audio/speech' }, 400, 'endpoint'],
    [{ completion_window: 'soon' }, 400, 'completion_window'],
    [{ completion_window: '400d' }, 400, 'completion_window'],
    [{ metadata: { a: 1 } }, 400, 'metadata'],
    [{ output_expires_after: { anchor: 'created_at', seconds: 5 } }, 400, 'output_expires_after'],
  ] as const) {
    await assert.rejects(openai.batches.create({ ...fine, ...change } as unknown as OpenAI.BatchCreateParams), (error) => {
      assert.ok(error instanceof OpenAI.APIError);
      assert.deepEqual([error.status, error.param], [status, param], JSON.stringify(change));
      return true;
    });
  }
  await assert.rejects(openai.batches.retrieve('batch_none'), OpenAI.NotFoundError);
  await assert.rejects(openai.batches.cancel('batch_none'), OpenAI.NotFoundError);
});

test('a repeated creation with an idempotency key returns the same batch; another body is a conflict', async (t) => {
  const { openai, upload } = await stage(t);
  const file = await upload(chatLine('a'));
  const body = { input_file_id: file, endpoint: '/v1/chat/completions', completion_window: '24h' } as const;
  const headers = { 'idempotency-key': 'once' };
  const both = await Promise.all([openai.batches.create(body, { headers }), openai.batches.create(body, { headers })]);
  assert.equal(both[0].id, both[1].id);
  await assert.rejects(openai.batches.create({ ...body, metadata: { a: 'b' } }, { headers }), OpenAI.ConflictError);
  assert.equal((await openai.batches.list()).data.length, 1);
});

test('batches are listed by cursor, with their metadata', async (t) => {
  const { openai, upload } = await stage(t);
  const file = await upload(chatLine('a'));
  const made: string[] = [];
  for (const n of ['1', '2', '3']) {
    const body = { input_file_id: file, endpoint: '/v1/chat/completions', completion_window: '24h', metadata: { n } } as const;
    made.push((await openai.batches.create(body)).id);
  }
  const listed: unknown[] = [];
  for await (const batch of openai.batches.list({ limit: 2 })) listed.push([batch.id, batch.metadata]);
  assert.deepEqual(listed, made.map((id, i) => [id, { n: String(i + 1) }]).reverse());
});

test('a cancelled batch: sent requests finish, others are dropped, and the results so far can be read', async (t) => {
  const { openai, create, ended, results, provider } = await stage(t, () => ({ ms: 150 }));
  const batch = await create(Array.from({ length: 200 }, (_, n) => chatLine(`c${n}`)).join('\n'));
  while (provider.running() < 5) await new Promise((resolve) => setTimeout(resolve, 5));
  const cancelling = await openai.batches.cancel(batch.id);
  assert.equal(cancelling.status, 'cancelling');
  const done = await ended(batch.id);
  assert.equal(done.status, 'cancelled');
  assert.ok(done.cancelling_at !== null && done.cancelled_at !== null);
  const { output, errors } = await results(done);
  assert.equal(output.length + errors.length, 200);
  assert.deepEqual(done.request_counts, { total: 200, completed: output.length, failed: errors.length });
  assert.ok(output.length >= 5 && output.length < 100, `${output.length}`);
  assert.equal(
    [...provider.calls.values()].reduce((sum, calls) => sum + calls, 0),
    output.length,
    'no call was wasted',
  );
  for (const { error, response } of errors) assert.deepEqual([error!.code, response], ['batch_cancelled', null]);
  assert.equal((await openai.batches.cancel(batch.id)).status, 'cancelled', 'cancelling again has no effect');
});

test('a batch that is cancelled during its validation has no files', async (t) => {
  const { openai, create, provider } = await stage(t);
  const batch = await create(Array.from({ length: 20_000 }, (_, n) => chatLine(`c${n}`)).join('\n'));
  assert.equal(batch.status, 'validating');
  const { id } = await openai.batches.cancel(batch.id);
  const done = await openai.batches.retrieve(id);
  assert.deepEqual([done.status, done.output_file_id, done.error_file_id], ['cancelled', null, null]);
  assert.deepEqual(done.request_counts, { total: 0, completed: 0, failed: 0 });
  assert.ok(done.cancelled_at! >= done.created_at);
  assert.equal(provider.calls.size, 0);
});

test('a batch that waits for the end of an outage can be cancelled at once', async (t) => {
  const { openai, create, ended, provider } = await stage(t, () => ({ status: 503 }));
  const batch = await create(Array.from({ length: 30 }, (_, n) => chatLine(`c${n}`)).join('\n'));
  while (provider.calls.size < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  const at = performance.now();
  await openai.batches.cancel(batch.id);
  const done = await ended(batch.id);
  assert.deepEqual([done.status, done.request_counts!.failed], ['cancelled', 30]);
  assert.ok(performance.now() - at < 3_000);
});

test('a refusal caused by one request ends it at once, with the body of the response', async (t) => {
  const { create, ended, results, provider } = await stage(t, (prompt) => (prompt === 'bad' ? { status: 400 } : undefined));
  const done = await ended((await create(jsonLines(chatLine('good'), chatLine('bad')))).id);
  assert.deepEqual([done.status, done.request_counts], ['completed', { total: 2, completed: 1, failed: 1 }]);
  const { errors } = await results(done);
  assert.deepEqual([errors[0]!.custom_id, errors[0]!.response!.status_code, errors[0]!.error!.message], ['bad', 400, 'status 400']);
  assert.equal(provider.calls.get('bad'), 1);
});

test('a request that always fails while others succeed is given up with its last response', { timeout: 120_000 }, async (t) => {
  const { create, ended, results } = await stage(
    t,
    (prompt) => (prompt === 'poison' ? { status: 500 } : undefined),
    { maxAttempts: 2 },
    { clock: fastClock(10) },
  );
  const lines = Array.from({ length: 60 }, (_, n) => chatLine(`c${n}`));
  const done = await ended((await create([chatLine('poison'), ...lines].join('\n'))).id);
  assert.deepEqual([done.status, done.request_counts], ['completed', { total: 61, completed: 60, failed: 1 }]);
  const { errors } = await results(done);
  assert.deepEqual([errors[0]!.custom_id, errors[0]!.response!.status_code], ['poison', 500]);
});

test('also as one of a few, under the default policy', { timeout: 120_000 }, async (t) => {
  const { create, ended, results, provider } = await stage(
    t,
    (prompt) => (prompt === 'poison' ? { status: 500 } : undefined),
    {},
    { clock: fastClock(10) },
  );
  const done = await ended((await create(jsonLines(chatLine('a'), chatLine('poison'), chatLine('b')))).id);
  assert.deepEqual([done.status, done.request_counts], ['completed', { total: 3, completed: 2, failed: 1 }]);
  const [error] = (await results(done)).errors;
  assert.deepEqual([error!.custom_id, error!.response === null || error!.response.status_code === 500], ['poison', true]);
  assert.ok(provider.calls.get('poison')! >= 6 && provider.calls.get('poison')! <= 16, `${provider.calls.get('poison')} calls`);
});

test('a hanging request does not delay the others, and ends', { timeout: 120_000 }, async (t) => {
  const policy: Policy = { maxAttempts: 1, timeouts: { headers: '4s', firstContent: '4s' } };
  const { create, ended, results } = await stage(t, (prompt) => (prompt === 'hangs' ? { hang: true } : undefined), policy, {
    clock: fastClock(4),
  });
  const lines = Array.from({ length: 30 }, (_, n) => chatLine(`c${n}`));
  const done = await ended((await create([chatLine('hangs'), ...lines].join('\n'))).id);
  assert.deepEqual([done.status, done.request_counts!.completed], ['completed', 30]);
  assert.equal((await results(done)).errors[0]!.custom_id, 'hangs');
});

test('a response that fails the quality policy is delivered and marked', async (t) => {
  const { create, ended, results } = await stage(t, (prompt) => (prompt === 'short' ? { text: 'no' } : undefined), {
    quality: { minLength: 5 },
  });
  const done = await ended((await create(jsonLines(chatLine('short'), chatLine('fine')))).id);
  assert.equal(done.status, 'completed');
  const { output } = await results(done);
  assert.deepEqual(Object.fromEntries(output.map((line) => [line.custom_id, line.breakwater?.quality])), {
    short: 'short',
    fine: undefined,
  });
});

test('a provider that is down for the whole window: the batch expires, and states the cause', async (t) => {
  const { create, ended, results, provider } = await stage(t, (prompt) => (prompt === 'early' ? undefined : { status: 503 }));
  const batch = await create(jsonLines(chatLine('early'), chatLine('a'), chatLine('b')), { window: '4s' });
  const done = await ended(batch.id);
  assert.equal(done.status, 'expired');
  assert.ok(done.expired_at! >= batch.created_at + 4);
  const { output, errors } = await results(done);
  assert.deepEqual([ids(output), ids(errors)], [['early'], ['a', 'b']]);
  for (const { error } of errors) {
    assert.equal(error!.code, 'batch_expired');
    assert.match(error!.message, /window .* the last attempt: /);
  }
  assert.ok(provider.calls.get('a')! <= 20, `${provider.calls.get('a')} calls`);
});

test('a provider that recovers within the window: every request succeeds', { timeout: 120_000 }, async (t) => {
  let down = true;
  const { create, ended } = await stage(t, () => (down ? { status: 503 } : undefined), { breaker: { openFor: '500ms', maxOpenFor: '1s' } });
  const batch = await create(Array.from({ length: 40 }, (_, n) => chatLine(`c${n}`)).join('\n'));
  setTimeout(() => (down = false), 3_000);
  const done = await ended(batch.id);
  assert.deepEqual([done.status, done.request_counts], ['completed', { total: 40, completed: 40, failed: 0 }]);
});

test('files and batches are visible only to their client', async (t) => {
  const provider = await startBatchProvider(t);
  const clients = { one: { key: 'key-one-123' }, two: { key: 'key-two-123', models: ['other'] } };
  const a = { protocol: 'openai' as const, baseUrl: provider.url, apiKey: 'sk-test' };
  const gateway = await startGateway({ providers: { a }, models: { fast: ['a/m'], other: ['a/n'] }, clients });
  t.after(() => gateway.close());
  const as = (apiKey: string): OpenAI => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });
  const [one, two] = [as('key-one-123'), as('key-two-123')];
  const file = await one.files.create({ file: await toFile(Buffer.from(chatLine('a')), 'a'), purpose: 'batch' });
  const batch = await one.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  await assert.rejects(two.files.retrieve(file.id), OpenAI.NotFoundError);
  await assert.rejects(two.batches.retrieve(batch.id), OpenAI.NotFoundError);
  await assert.rejects(two.batches.cancel(batch.id), OpenAI.NotFoundError);
  assert.deepEqual([(await two.files.list()).data, (await two.batches.list()).data], [[], []]);
  await assert.rejects(as('unknown').files.list(), OpenAI.AuthenticationError);
  // A client's list of models applies to its batches, too.
  const own = await two.files.create({ file: await toFile(Buffer.from(chatLine('a')), 'a'), purpose: 'batch' });
  const refused = await two.batches.create({ input_file_id: own.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  let seen = refused;
  while (seen.status === 'validating') seen = await two.batches.retrieve(refused.id);
  assert.deepEqual([seen.status, seen.errors!.data![0]!.code], ['failed', 'model_not_allowed']);
});

test('a batch that does not fit in the store fails, and states the cause', async (t) => {
  const { openai, create, ended } = await stage(t, undefined, {}, { batch: { maxBytes: '3mb' } });
  const text = Array.from({ length: 40 }, (_, i) => chatLine(`r${i}`, 'x'.repeat(50_000))).join('\n');
  const batch = await ended((await create(text)).id);
  assert.equal(batch.status, 'failed');
  assert.equal(batch.errors!.data![0]!.code, 'store_full');
  await openai.files.delete(batch.input_file_id);
});
