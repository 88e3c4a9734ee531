/** kill -9 at twenty random moments of one batch: nothing is lost, nothing is done twice but what was running, and that is marked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toFile } from 'openai';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { chatLine, readLines, startBatchProvider } from './batch-provider.ts';
import { stageCrashes } from './crash-stage.ts';

const ITEMS = 2_500;
const KILLS = 20;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('kill -9 at twenty moments: one result for each item, and no completed item is sent again', async (t) => {
  const random = createSeededRandom(7);
  const provider = await startBatchProvider(t, () => ({ ms: 20 + random.next() * 100 }));
  const start = await stageCrashes(t, { baseUrl: provider.url, limits: { concurrency: 12 } }, 'a/m');
  const filler = 'x'.repeat(1_000);
  const text = Array.from({ length: ITEMS }, (_, n) => chatLine(`c${n}`, `p${n} ${filler}`)).join('\n');
  let kills = 0;
  let fileId = '';
  let batchId = '';
  let gateway = await start();
  const killAfter = async (ms: number): Promise<void> => {
    await wait(ms);
    await gateway.kill();
    kills++;
    gateway = await start();
  };
  // Uploads that a kill cuts off leave nothing; the last one is whole.
  for (let i = 0; i < 3; i++) {
    const upload = gateway.openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' }).catch(() => null);
    await killAfter(random.next() * 60);
    await upload;
  }
  fileId = (await gateway.openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' })).id;
  batchId = (await gateway.openai.batches.create({ input_file_id: fileId, endpoint: '/v1/chat/completions', completion_window: '24h' })).id;
  // Within validation, then anywhere.
  for (let i = 0; i < 3; i++) await killAfter(random.next() * 30);
  while (kills < KILLS) await killAfter(400 + random.next() * 1_000);

  for (;;) {
    const batch = await gateway.openai.batches.retrieve(batchId);
    if (batch.status === 'completed') {
      assert.deepEqual(batch.request_counts!.total, ITEMS);
      const output = readLines(await (await gateway.openai.files.content(batch.output_file_id!)).text());
      const errors = batch.error_file_id == null ? [] : readLines(await (await gateway.openai.files.content(batch.error_file_id)).text());
      const lines = [...output, ...errors];
      assert.equal(lines.length, ITEMS);
      assert.equal(new Set(lines.map((line) => line.custom_id)).size, ITEMS);
      for (const line of errors) assert.equal(line.error!.code, 'interrupted');
      for (const line of lines) {
        const calls = provider.calls.get(`p${line.custom_id.slice(1)} ${filler}`) ?? 0;
        const repeated = line.breakwater?.repeated ?? 0;
        assert.ok(calls <= 1 + repeated, `${line.custom_id}: ${calls} calls, repeated ${repeated}`);
        assert.ok(repeated <= 2);
      }
      const repeats = lines.filter((line) => line.breakwater?.repeated !== undefined).length;
      assert.ok(repeats > 0 && repeats <= KILLS * 12, `${repeats} repeated`);
      t.diagnostic(`${repeats} items repeated, ${errors.length} interrupted, ${output.length} completed`);
      break;
    }
    await wait(50);
  }
  await gateway.kill();
});
