/** One batch on four instances: submitted at one, polled and read at others, two of them killed in the middle. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toFile } from 'openai';
import { startStorm } from '../../src/storm/index.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { chatLine, readLines, startBatchProvider } from '../e2e/batch-provider.ts';
import { startMembers, type Member } from './processes.ts';
import { skipWithoutRedis, startRedis } from './server.ts';

const ITEMS = 5_000;
const CONCURRENCY = 60;
const LIMITS = { concurrency: CONCURRENCY };
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

void test(
  'kill -9 of two of four instances within a batch: one result for each item, and no completed item is sent again',
  { skip: skipWithoutRedis },
  async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const random = createSeededRandom(11);
    const provider = await startBatchProvider(t, () => ({ ms: 40 + random.next() * 120 }));
    const members = await startMembers(t, redis.url, provider.url, 4, LIMITS);
    const [first, second, third, fourth] = members as [Member, Member, Member, Member];
    const text = Array.from({ length: ITEMS }, (_, n) => chatLine(`c${n}`, `p${n}`)).join('\n');
    const file = await first.openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' });
    const { id } = await second.openai.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    const until = async (isSo: (done: number, status: string) => boolean): Promise<void> => {
      for (;;) {
        const batch = await third.openai.batches.retrieve(id);
        if (isSo(batch.request_counts!.completed, batch.status)) return;
        await wait(50);
      }
    };
    await until((done) => done >= 1_500);
    await Promise.all([first.kill(), second.kill()]);
    const doneBefore = (await third.openai.batches.retrieve(id)).request_counts!.completed;
    assert.ok(doneBefore < ITEMS);
    await until((_, status) => status === 'completed');
    const batch = await fourth.openai.batches.retrieve(id);
    assert.deepEqual(batch.request_counts, { total: ITEMS, completed: ITEMS, failed: 0 });
    const lines = readLines(await (await fourth.openai.files.content(batch.output_file_id!)).text());
    assert.deepEqual(lines.map((line) => line.custom_id), Array.from({ length: ITEMS }, (_, n) => `c${n}`)); // prettier-ignore
    let repeats = 0;
    for (const line of lines) {
      const repeated = line.breakwater?.repeated ?? 0;
      repeats += repeated;
      const calls = provider.calls.get(`p${line.custom_id.slice(1)}`) ?? 0;
      assert.ok(repeated <= 1 && calls >= 1 && calls <= 1 + repeated, `${line.custom_id}: ${calls} calls, repeated ${repeated}`);
    }
    assert.ok(repeats > 0 && repeats <= CONCURRENCY, `${repeats} repeated`);
    assert.ok(provider.maxRunning() <= CONCURRENCY + repeats, `${provider.maxRunning()} at once`);
    const calls = [...provider.calls.values()].reduce((sum, count) => sum + count, 0);
    t.diagnostic(`${doneBefore} done at the kill, ${repeats} repeated, ${calls} calls`);
  },
);

void test('a batch is cancelled at another instance, and its file deleted there', { skip: skipWithoutRedis }, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const provider = await startBatchProvider(t, () => ({ ms: 300 }));
  const [first, second] = (await startMembers(t, redis.url, provider.url, 2, LIMITS)) as [Member, Member];
  const text = Array.from({ length: 2_000 }, (_, n) => chatLine(`c${n}`, `p${n}`)).join('\n');
  const file = await first.openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' });
  assert.equal(await (await second.openai.files.content(file.id)).text(), text);
  const { id } = await first.openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  while ((await second.openai.batches.retrieve(id)).request_counts!.completed < 50) await wait(20);
  assert.equal((await second.openai.batches.cancel(id)).status, 'cancelling');
  let batch = await first.openai.batches.retrieve(id);
  while (batch.status !== 'cancelled') {
    await wait(20);
    batch = await first.openai.batches.retrieve(id);
  }
  const { total, completed, failed } = batch.request_counts!;
  assert.equal(completed + failed, total);
  const calls = [...provider.calls.values()].reduce((sum, count) => sum + count, 0);
  assert.equal(calls, completed, 'what was sent has its result, nothing else was sent');
  await second.openai.files.delete(file.id);
  await assert.rejects(first.openai.files.retrieve(file.id), { status: 404 });
});

void test('a background response made by one instance is streamed from another', { skip: skipWithoutRedis }, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const storm = await startStorm({ timing: { tokens: 30, tokensPerSecond: 40 } });
  const [first, second] = (await startMembers(t, redis.url, storm.url, 2, LIMITS)) as [Member, Member];
  t.after(() => storm.close());
  const created = await first.openai.responses.create({ model: 'fast', input: 'p0', background: true, stream: true });
  let id = '';
  for await (const event of created) {
    if (event.type === 'response.created') id = event.response.id;
    break;
  }
  const types: string[] = [];
  let streamed = '';
  for await (const event of await second.openai.responses.retrieve(id, { stream: true })) {
    types.push(event.type);
    if (event.type === 'response.output_text.delta') streamed += event.delta;
  }
  assert.equal(types.at(-1), 'response.completed');
  assert.ok(streamed.length > 0);
  assert.equal((await second.openai.responses.retrieve(id)).output_text, streamed);
  assert.equal(storm.stats().calls, 1);
});
