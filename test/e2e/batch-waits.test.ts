/** What a batch waits for instead of ending its requests: random faults of the provider. In fast time, over real sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import OpenAI, { toFile } from 'openai';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
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
