/** Batches at providers over restarts, several processes and kill -9. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { openStore } from '../../src/store/open-store.ts';
import { startStorm, type Storm } from '../../src/storm/index.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { startCli } from '../cli/run-cli.ts';
import { chatLine, readLines } from './batch-provider.ts';
import { prompt, soon, startClock, startNativeWorld } from './native-world.ts';

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-native-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('a batch at the provider survives an orderly restart: it is created once', async (t) => {
  const path = join(await folderOf(t), 'state.db');
  const clock = startClock(t);
  const store = await openStore(`sqlite:${path}`, { clock, onWarning: () => {} });
  const first = await startNativeWorld(t, { batches: { afterMs: 1_500 }, store, before: { clock, storm: await stormOf(t, 1_500) } });
  const { id } = await first.create(30);
  await soon(() => first.storm.batches().created === 1, 'the batch at the provider');
  await soon(() => first.storm.batches().polls > 0, 'a look at it');
  await first.gateway.drain();
  await first.close();
  const again = await openStore(`sqlite:${path}`, { clock, onWarning: () => {} });
  const second = await startNativeWorld(t, { before: first, store: again });
  const batch = await second.ended(id);
  const { output } = await second.results(batch);
  assert.equal(output.length, 30);
  assert.ok(output.every((line) => line.breakwater === undefined));
  const { created, processed, cancelled } = second.storm.batches();
  assert.deepEqual([created, processed, cancelled, second.storm.stats().calls], [1, 30, 0, 0]);
});

test('of two gateways on one database one hands a batch over, and the other one goes on when it stops', async (t) => {
  const path = join(await folderOf(t), 'state.db');
  const clock = startClock(t);
  const open = () => openStore(`sqlite:${path}`, { clock, onWarning: () => {} });
  const before = { clock, storm: await stormOf(t, 3_000) };
  const one = await startNativeWorld(t, { before, store: await open() });
  const two = await startNativeWorld(t, { before, store: await open() });
  const { id } = await one.create(30);
  await two.create(1, { prompt: () => 'own' });
  await soon(() => one.storm.batches().created === 2, 'both batches at the provider');
  await one.close();
  const batch = await two.ended(id);
  assert.equal((await two.results(batch)).output.length, 30);
  const { created, byPrompt } = two.storm.batches();
  assert.deepEqual([created, two.storm.stats().calls], [2, 0]);
  assert.ok(Object.values(byPrompt).every((count) => count === 1));
});

/** The stages that a crash may leave behind, and how the items of the batch are sent then. `created`: batches at the provider. */
const STAGES = [
  // What was only uploaded has in truth become a batch here, which nothing reads.
  { stage: 'uploading', name: 'was uploaded only: its items are handed over again', created: 2, calls: 0, repeated: 0 },
  { stage: 'creating', name: 'may have been created: it is found, and continued', created: 1, calls: 0, repeated: 0 },
  {
    stage: 'creating',
    isDeleted: true,
    name: 'may have been created, and was not: its items are handed over again',
    created: 1,
    calls: 0,
    repeated: 0,
  },
  { stage: 'running', isDeleted: true, name: 'is gone: its items run as calls, marked', created: 0, calls: 10, repeated: 10 },
] as const;

for (const protocol of ['openai', 'anthropic'] as const) {
  for (const { stage, name, created, calls, repeated, ...more } of STAGES) {
    test(`${protocol}: after a crash, a batch that ${name}`, async (t) => {
      const path = join(await folderOf(t), 'state.db');
      const clock = startClock(t);
      const open = () => openStore(`sqlite:${path}`, { clock, onWarning: () => {} });
      const first = await startNativeWorld(t, { protocol, before: { clock, storm: await stormOf(t, 2_000) }, store: await open() });
      const { id } = await first.create(10);
      await soon(() => first.storm.batches().polls > 0, 'a look at it');
      await first.close();
      const database = new DatabaseSync(path);
      const { data } = database.prepare('SELECT data FROM jobs WHERE id = ?').get(id) as { data: string };
      type Saved = { native: { batches: { stage: string; remote: string | null; file: string | null }[]; planned: string[] } };
      const { native } = JSON.parse(data) as Saved;
      const [record] = native.batches;
      record!.stage = stage;
      if (stage !== 'running') {
        record!.remote = null;
        native.planned = [];
      }
      if (stage === 'uploading') record!.file = null;
      database.prepare('UPDATE jobs SET data = ? WHERE id = ?').run(JSON.stringify({ ...(JSON.parse(data) as object), native }), id);
      database.close();
      if ('isDeleted' in more) first.storm.reset();
      const second = await startNativeWorld(t, { protocol, before: first, store: await open() });
      const { output } = await second.results(await second.ended(id));
      assert.equal(output.length, 10);
      assert.equal(output.filter((line) => line.breakwater?.repeated === 1).length, repeated);
      assert.deepEqual([second.storm.batches().created, second.storm.stats().calls], [created, calls]);
      await soon(() => second.storm.batches().files === 0, 'the end of all files');
    });
  }
}

async function stormOf(t: TestContext, afterMs: number, keepBodies = 0): Promise<Storm> {
  const storm = await startStorm({ timing: { tokens: 8 }, batches: { afterMs }, keepBodies });
  t.after(() => storm.close());
  return storm;
}

const ITEMS = 2_000;
const KILLS = 12;

for (const protocol of ['openai', 'anthropic'] as const) {
  test(`kill -9 at ${KILLS} moments (${protocol}): one result for each item, and repeats only where they are marked`, async (t) => {
    const random = createSeededRandom(11);
    const storm = await stormOf(t, 2_500, 10_000);
    const cwd = await folderOf(t);
    const baseUrl = protocol === 'openai' ? storm.url : storm.url.replace(/\/v1$/, '');
    const config = {
      server: { port: 0 },
      providers: { a: { protocol, baseUrl, apiKey: 'sk-test', nativeBatches: true, limits: { concurrency: 12 } } },
      models: { fast: ['a/m'] },
      batch: { native: 'prefer' },
      telemetry: { logs: { level: 'error' } },
    };
    await writeFile(join(cwd, 'breakwater.json'), JSON.stringify(config));
    const start = async () => {
      const cli = startCli(['serve'], { cwd });
      t.after(() => cli.child.kill('SIGKILL'));
      const [, base] = await cli.until('stdout', /listening on (\S+)/);
      const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 20_000 });
      const kill = async (): Promise<void> => {
        cli.child.kill('SIGKILL');
        await cli.ended;
      };
      return { openai, kill };
    };
    let gateway = await start();
    const text = Array.from({ length: ITEMS }, (_, n) => chatLine(`c${n}`, `${prompt(n)} ${'x'.repeat(300)}`, { max_tokens: 30 })).join(
      '\n',
    );
    const file = await gateway.openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' });
    const wish = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' } as const;
    const { id } = await gateway.openai.batches.create(wish);
    // While it is handed over, while it is polled, and while its results are read.
    for (let kills = 0; kills < KILLS; kills++) {
      const isOver = storm.batches().processed >= ITEMS;
      await wait(kills < 5 ? 100 + random.next() * 500 : isOver ? 500 + random.next() * 700 : 1_000 + random.next() * 1_500);
      await gateway.kill();
      gateway = await start();
    }
    let batch = await gateway.openai.batches.retrieve(id);
    while (batch.status !== 'completed') {
      await wait(50);
      batch = await gateway.openai.batches.retrieve(id);
    }
    const lines = readLines(await (await gateway.openai.files.content(batch.output_file_id!)).text());
    const errors = batch.error_file_id == null ? [] : readLines(await (await gateway.openai.files.content(batch.error_file_id)).text());
    assert.ok(errors.every((line) => line.error!.code === 'interrupted'));
    assert.deepEqual(new Set([...lines, ...errors].map((line) => line.custom_id)).size, ITEMS);
    assert.equal(lines.length + errors.length, ITEMS);
    const calls = callsByPrompt(storm);
    const { byPrompt, created, processed } = storm.batches();
    for (const line of lines) {
      const asked = `${prompt(Number(line.custom_id.slice(1)))} ${'x'.repeat(300)}`.slice(0, 200);
      const sent = (calls.get(asked) ?? 0) + (byPrompt[asked] ?? 0);
      const repeated = line.breakwater?.repeated ?? 0;
      assert.ok(sent <= 1 + repeated, `${line.custom_id}: sent ${sent} times, repeated ${repeated}`);
    }
    const marked = lines.filter((line) => line.breakwater?.repeated !== undefined).length;
    t.diagnostic(`${created} batches, ${processed} processed there, ${storm.stats().calls} calls, ${marked} marked as repeated`);
    await gateway.kill();
  });
}

function callsByPrompt(storm: Storm): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { body } of storm.stats().log) {
    const { messages } = JSON.parse(String(body ?? '{}')) as { messages?: { content: string }[] };
    const asked = String(messages?.at(-1)?.content ?? '').slice(0, 200);
    counts.set(asked, (counts.get(asked) ?? 0) + 1);
  }
  return counts;
}
