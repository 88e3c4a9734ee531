/** What a batch waits for instead of ending its requests: random faults of the provider, and parts of the config that return. In fast time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { parseConfig } from '../../src/gateway/config/index.ts';
import type { Config, ConfigInput } from '../../src/gateway/config/index.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { chatLine, readLines, startBatchProvider, type BatchProvider, type Behaviour, type ResultLine } from './batch-provider.ts';
import { fastClock } from './fast-clock.ts';
import { startGateway, type TestGateway } from './harness.ts';

interface Stage extends TestGateway {
  readonly provider: BatchProvider;
  readonly config: ConfigInput;
  readonly create: (lines: readonly string[], window?: string) => Promise<OpenAI.Batch>;
  readonly get: (id: string) => Promise<OpenAI.Batch>;
  readonly ended: (id: string) => Promise<OpenAI.Batch>;
  readonly errors: (batch: OpenAI.Batch) => Promise<ResultLine[]>;
}

async function stage(t: TestContext, behave: Behaviour, more: Partial<ConfigInput> = {}, factor = 50): Promise<Stage> {
  const provider = await startBatchProvider(t, behave);
  const a = { protocol: 'openai' as const, baseUrl: provider.url, apiKey: 'sk-test', limits: { concurrency: 20 } };
  const config = { providers: { a }, models: { fast: ['a/m'], other: ['a/n'] }, ...more };
  const gateway = await startGateway(config, { clock: fastClock(factor) });
  t.after(() => gateway.close());
  const key = more.clients === undefined ? 'unused' : 'key-web-123';
  const openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key, maxRetries: 0 });
  const get = (id: string): Promise<OpenAI.Batch> => openai.batches.retrieve(id);
  return {
    ...gateway,
    openai,
    provider,
    config,
    async create(lines, window = '24h') {
      const file = await openai.files.create({ file: await toFile(Buffer.from(lines.join('\n')), 'in.jsonl'), purpose: 'batch' });
      const body = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: window };
      return openai.batches.create(body as OpenAI.BatchCreateParams);
    },
    get,
    async ended(id) {
      for (;;) {
        const batch = await get(id);
        if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    errors: async ({ error_file_id: id }) => (id == null ? [] : readLines(await (await openai.files.content(id)).text())),
  };
}

const lines = (count: number): string[] => Array.from({ length: count }, (_, n) => chatLine(`c${n}`));

test('calls that fail at random end no request of a batch', { timeout: 60_000 }, async (t) => {
  const random = createSeededRandom(3);
  const { create, ended, provider } = await stage(t, () => (random.next() < 0.3 ? { status: 503 } : undefined), {
    policy: { maxAttempts: 1 },
  });
  const done = await ended((await create(lines(200))).id);
  assert.deepEqual([done.status, done.request_counts], ['completed', { total: 200, completed: 200, failed: 0 }]);
  assert.ok(Math.max(...provider.calls.values()) > 3, 'one of them failed three times');
});

test('a request that fails four times while others succeed has a fifth round', { timeout: 60_000 }, async (t) => {
  const behave: Behaviour = (prompt, call) => (prompt === 'late' && call <= 4 ? { status: 503 } : undefined);
  const { create, ended, provider } = await stage(t, behave, { policy: { maxAttempts: 1 } });
  const done = await ended((await create([chatLine('late'), ...lines(20)])).id);
  assert.deepEqual([done.status, done.request_counts!.failed, provider.calls.get('late')], ['completed', 0, 5]);
});

/** The config without what is named. */
function without(config: ConfigInput, part: 'model' | 'permission' | 'client'): Config {
  const web = { key: 'key-web-123', models: part === 'permission' ? ['other'] : ['fast', 'other'] };
  const ops = { key: 'key-ops-123' };
  const models = part === 'model' ? { other: ['a/n'] } : config.models;
  return configOf({ ...config, models, clients: part === 'client' ? { ops } : { web, ops } });
}

function configOf(input: ConfigInput): Config {
  const parsed = parseConfig(input, { source: 'library' });
  assert.ok(parsed.ok);
  return parsed.config;
}

const CLIENTS = { web: { key: 'key-web-123', models: ['fast', 'other', 'none'] }, ops: { key: 'key-ops-123' } };
const CODES = { model: 'model_not_found', permission: 'model_not_allowed', client: 'invalid_api_key' };
type Waiting = { breakwater?: { waiting?: { model: string; code: string; message: string; since: number }[] } };

for (const part of ['model', 'permission', 'client'] as const) {
  test(`requests of a batch wait for the return of its ${part}`, { timeout: 60_000 }, async (t) => {
    const world = await stage(t, () => ({ ms: 20 }), { clients: CLIENTS }, 10);
    const batch = await world.create(lines(200));
    while (world.provider.calls.size < 20) await new Promise((resolve) => setTimeout(resolve, 5));
    await world.gateway.reload(without(world.config, part));
    const warnings = (): string[] => world.eventsOf('warning').map(({ message }) => message);
    while (!warnings().some((message) => message.includes('wait until'))) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 500)); // five seconds of the gateway
    if (part !== 'client') {
      const { status, request_counts: counts, breakwater } = (await world.get(batch.id)) as OpenAI.Batch & Waiting;
      assert.deepEqual([status, counts!.failed], ['in_progress', 0]);
      assert.deepEqual(
        breakwater!.waiting!.map(({ model, code }) => [model, code]),
        [['fast', CODES[part]]],
      );
    }
    await world.gateway.reload(configOf(world.config));
    const at = performance.now();
    const done = await world.ended(batch.id);
    assert.deepEqual([done.status, done.request_counts], ['completed', { total: 200, completed: 200, failed: 0 }]);
    assert.ok(performance.now() - at < 3_000, 'it was tried at once');
    assert.equal(warnings().filter((message) => message.includes('wait until')).length, 1);
    assert.equal((done as Waiting).breakwater?.waiting, undefined);
    assert.ok([...world.provider.calls.values()].every((calls) => calls === 1));
  });
}

test(
  'requests whose model does not return expire with that reason; those for a model that never existed end at once',
  { timeout: 60_000 },
  async (t) => {
    const { create, config, provider, gateway, ended, errors } = await stage(t, () => ({ ms: 20 }), {}, 20);
    const never = chatLine('never', 'never', { model: 'none' });
    const batch = await create([never, chatLine('other', 'other', { model: 'other' }), ...lines(300)], '60s');
    while (provider.calls.size < 10) await new Promise((resolve) => setTimeout(resolve, 5));
    await gateway.reload(configOf({ ...config, models: { other: ['a/n'] } }));
    const done = await ended(batch.id);
    assert.equal(done.status, 'expired');
    assert.ok(done.request_counts!.completed >= 10 && done.request_counts!.completed < 300);
    const found = new Map((await errors(done)).map((line) => [line.custom_id, line.error!]));
    assert.match(found.get('never')!.message, /unknown model "none"/);
    found.delete('never');
    assert.equal(found.has('other'), false);
    for (const { code, message } of found.values()) {
      assert.equal(code, 'batch_expired');
      assert.match(message, /window .*; it waited for the configuration: unknown model "fast"/);
    }
  },
);

for (const [name, client, code, message] of [
  ['budget', { budget: { usd: 0.2, per: 'day' } }, 'budget_exceeded', /more than the budget of client "web", \$0.2 per day/],
  ['limit', { limits: { tokensPerMinute: 1_000 } }, 'capability_unsupported', /more tokens at once than the limits of client "web" allow/],
] as const) {
  test(`a request that is larger than a ${name} of its client ends at once, with the reason`, { timeout: 60_000 }, async (t) => {
    const clients = { web: { key: 'key-web-123', ...client } };
    const { create, ended, errors, provider } = await stage(
      t,
      () => undefined,
      { clients, prices: { 'a/m': { input: 1, output: 500 } } },
      1,
    );
    const at = performance.now();
    const done = await ended(
      (await create([chatLine('large', 'large', { max_tokens: 2_000 }), chatLine('small', 'small', { max_tokens: 5 })])).id,
    );
    assert.deepEqual([done.status, done.request_counts], ['completed', { total: 2, completed: 1, failed: 1 }]);
    assert.ok(performance.now() - at < 5_000);
    const [error] = await errors(done);
    assert.deepEqual([error!.custom_id, error!.error!.code, provider.calls.get('large')], ['large', code, undefined]);
    assert.match(error!.error!.message, message);
  });
}
