/** `batch.native: prefer`: items are handed over to the provider's own batch API, and each ends with exactly one result. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { BatchFault } from '../../src/storm/index.ts';
import { startStorm } from '../../src/storm/index.ts';
import { prompt, soon, startNativeWorld, type NativeOptions, type NativeWorld } from './native-world.ts';

const ITEMS = 12;
const all = Array.from({ length: ITEMS }, (_, n) => `c${n}`).sort();
/** A minute of waiting takes a second. */
const HURRY = 60;

/** Plays one batch of `ITEMS` to its end. Every item has exactly one result. */
async function play(t: TestContext, options: NativeOptions, speed = 1, window = '24h') {
  const world = await startNativeWorld(t, options);
  world.clock.speed = speed;
  const created = await world.create(ITEMS, { window });
  const batch = await world.ended(created.id);
  assert.equal((batch as { breakwater?: { handed_over?: number } }).breakwater?.handed_over, undefined);
  const { output, errors } = await world.results(batch);
  assert.deepEqual([...output, ...errors].map((line) => line.custom_id).sort(), all);
  return { world, batch, output, errors, native: world.storm.batches(), live: world.storm.stats() };
}

test('items are handed over, and their results come back at half the price, without a call of their own', async (t) => {
  const { world, batch, output, native, live } = await play(t, {}, 4);
  assert.equal(batch.status, 'completed');
  assert.equal(output.length, ITEMS);
  assert.deepEqual([native.created, native.processed, live.calls], [1, ITEMS, 0]);
  for (let n = 0; n < ITEMS; n++) assert.equal(native.byPrompt[prompt(n)], 1);
  const [first] = output;
  assert.ok(first!.response!.body.choices![0]!.message.content.length > 10);
  assert.equal(first!.breakwater, undefined);
  const ends = world.eventsOf('attempt_end');
  assert.equal(ends.length, ITEMS);
  for (const { costUsd, usage, target } of ends) {
    assert.equal(target, 'a/m');
    assert.ok(Math.abs(costUsd! - ((usage!.inputTokens + usage!.outputTokens) * 0.5) / 1_000) < 1e-9, `${costUsd}`);
  }
  assert.equal(native.files, 0, 'the files at the provider are deleted before the batch ends');
});

for (const protocol of ['openai', 'anthropic'] as const) {
  test(`message batches are handed over to a provider of protocol ${protocol}, converted where it differs`, async (t) => {
    const { anthropic, storm, clock } = await startNativeWorld(t, { protocol });
    clock.speed = 4;
    const requests = Array.from({ length: 5 }, (_, n) => ({
      custom_id: `m${n}`,
      params: { model: 'fast', max_tokens: 50, messages: [{ role: 'user' as const, content: prompt(n) }] },
    }));
    const { id } = await anthropic.messages.batches.create({ requests });
    await soon(async () => (await anthropic.messages.batches.retrieve(id)).processing_status === 'ended', 'the end');
    const seen: string[] = [];
    for await (const { custom_id: customId, result } of await anthropic.messages.batches.results(id)) {
      assert.ok(result.type === 'succeeded' && result.message.type === 'message' && result.message.content.length > 0);
      seen.push(customId);
    }
    assert.deepEqual(seen, ['m0', 'm1', 'm2', 'm3', 'm4']);
    assert.deepEqual([storm.batches().created, storm.batches().processed, storm.stats().calls], [1, 5, 0]);
  });
}

test('a chat batch is handed over to an Anthropic provider, converted both ways', async (t) => {
  const { output, native, live } = await play(t, { protocol: 'anthropic' }, 4);
  assert.equal(output.length, ITEMS);
  assert.deepEqual([native.processed, live.calls], [ITEMS, 0]);
  assert.equal((output[0]!.response!.body as { object?: string }).object, 'chat.completion');
});

/** Of a batch with a fault: how many were processed at the provider, how many calls were made for the others, and marks of repeats. */
interface Story {
  readonly fault: BatchFault;
  readonly processed: number;
  readonly calls: number;
  readonly created?: number;
  readonly repeated?: number;
}

const HALF = ITEMS / 2;
const STORIES: readonly Story[] = [
  { fault: 'partial', processed: (ITEMS * 2) / 3, calls: ITEMS / 3 },
  { fault: 'expire', processed: HALF, calls: HALF },
  { fault: 'stuck', processed: HALF, calls: HALF },
  { fault: 'never', processed: 0, calls: ITEMS },
  { fault: 'cut', processed: ITEMS, calls: 0 },
  { fault: '429-submit', processed: ITEMS, calls: 0 },
  { fault: '429-always', processed: 0, calls: ITEMS, created: 0 },
  { fault: '503-poll', processed: ITEMS, calls: 0 },
  { fault: 'lost-reply', processed: ITEMS, calls: 0 },
  { fault: 'deaf', processed: 0, calls: ITEMS, repeated: ITEMS },
];
/** The provider does not deliver, so that the clock has to reach the time at which items are taken back. */
const SLOW: ReadonlySet<BatchFault> = new Set(['stuck', 'never', 'deaf', '429-always']);

for (const protocol of ['openai', 'anthropic'] as const) {
  for (const { fault, processed, calls, created = 1, repeated = 0 } of STORIES) {
    test(`${protocol}, ${fault}: every item has one result, and only what the provider did not deliver is run here`, async (t) => {
      const [speed, window] = SLOW.has(fault) ? [10 * HURRY, '70m'] : [HURRY, '24h'];
      const { batch, output, native, live } = await play(t, { protocol, batches: { fault } }, speed, window);
      assert.equal(batch.status, 'completed');
      assert.equal(output.length, ITEMS);
      assert.deepEqual([native.created, native.processed, live.calls], [created, processed, calls]);
      assert.equal(output.filter((line) => line.breakwater?.repeated === 1).length, repeated);
    });
  }
}

test('a batch whose validation fails at the provider is run here', async (t) => {
  for (const protocol of ['openai', 'anthropic'] as const) {
    const { output, native, live, world } = await play(t, { protocol, batches: { fault: 'invalid' } }, HURRY);
    assert.deepEqual([output.length, native.processed, live.calls], [ITEMS, 0, ITEMS]);
    assert.ok(output.every((line) => line.breakwater === undefined));
    assert.equal(world.eventsOf('warning').length, 1);
  }
});

test('results that are named later than the end of the batch are waited for', async (t) => {
  const { output, native, live } = await play(t, { batches: { fault: 'late-file' } }, HURRY);
  assert.deepEqual([output.length, native.processed, live.calls], [ITEMS, ITEMS, 0]);
});

test('results that end in the middle of a line: what is missing is run here, and marked', async (t) => {
  for (const protocol of ['openai', 'anthropic'] as const) {
    const { output, native, live } = await play(t, { protocol, batches: { fault: 'short' } }, HURRY);
    assert.deepEqual([output.length, native.processed], [ITEMS, ITEMS]);
    assert.ok(live.calls > 0 && live.calls < ITEMS);
    assert.equal(output.filter((line) => line.breakwater?.repeated === 1).length, live.calls);
  }
});

test('a result that falls short of the quality policy goes on at the next target', async (t) => {
  const b = await startStorm({ name: 'b', timing: { tokens: 40 } });
  t.after(() => b.close());
  const others = { b: { protocol: 'openai' as const, baseUrl: b.url, apiKey: 'sk-test' } };
  const config = { policy: { quality: { minLength: 100 } } };
  const { output, native, live } = await play(t, { others, targets: ['b/n'], config }, 4);
  assert.deepEqual([output.length, native.processed, live.calls, b.stats().calls], [ITEMS, ITEMS, 0, ITEMS]);
  assert.ok(output.every((line) => line.response!.body.choices![0]!.message.content.length >= 100));
});

test('a result that falls short of the quality policy, with no other target, is marked', async (t) => {
  const { output, live } = await play(t, { config: { policy: { quality: { minLength: 1_000 } } } }, 4);
  assert.equal(live.calls, 0);
  assert.ok(output.every((line) => line.breakwater?.quality === 'short'));
});

test('cancelling a batch cancels that of the provider, and keeps what it has done', async (t) => {
  for (const protocol of ['openai', 'anthropic'] as const) {
    const world = await startNativeWorld(t, { protocol, batches: { fault: 'stuck' } });
    const { id } = await world.create(ITEMS);
    await soon(() => world.storm.batches().processed === HALF, 'half of it');
    const running = (await world.openai.batches.retrieve(id)) as { breakwater?: { handed_over: number } };
    assert.equal(running.breakwater?.handed_over, ITEMS);
    await world.openai.batches.cancel(id);
    const batch = await world.ended(id);
    assert.equal(batch.status, 'cancelled');
    const { output, errors } = await world.results(batch);
    assert.deepEqual([output.length, errors.length], [HALF, HALF]);
    assert.ok(errors.every((line) => line.error!.code === 'batch_cancelled'));
    assert.deepEqual([world.storm.batches().cancelled, world.storm.stats().calls], [1, 0]);
  }
});

test('nothing is handed over where it is off, where the window is short, or where the first target has no batch API', async (t) => {
  const off: NativeWorld = await startNativeWorld(t, { config: { batch: { native: 'off' } } });
  await off.ended((await off.create(3)).id);
  assert.deepEqual([off.storm.batches().created, off.storm.stats().calls], [0, 3]);
  const short = await startNativeWorld(t);
  await short.ended((await short.create(3, { window: '45m' })).id);
  assert.deepEqual([short.storm.batches().created, short.storm.stats().calls], [0, 3]);
  const other = await startNativeWorld(t, { others: { a: { protocol: 'openai', baseUrl: short.storm.url, apiKey: 'sk-test' } } });
  await other.ended((await other.create(2)).id);
  assert.deepEqual([short.storm.batches().created, short.storm.stats().calls], [0, 5]);
});

test('requests that the target can not carry run here, the others are handed over', async (t) => {
  const { openai, storm, ended, results, clock } = await startNativeWorld(t, { protocol: 'anthropic' });
  clock.speed = 4;
  const line = (n: number, more: object): string =>
    JSON.stringify({
      custom_id: `c${n}`,
      method: 'POST',
      url: '/v1/chat/completions',
      body: { model: 'fast', messages: [{ role: 'user', content: prompt(n) }], max_tokens: 20, ...more },
    });
  const text = [line(0, {}), line(1, { modalities: ['text', 'audio'], audio: { voice: 'x', format: 'wav' } }), line(2, {})].join('\n');
  const file = await openai.files.create({ file: new File([text], 'in.jsonl'), purpose: 'batch' });
  const { id } = await openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  const batch = await ended(id);
  const { output, errors } = await results(batch);
  assert.deepEqual([output.map((one) => one.custom_id), errors.map((one) => one.custom_id)], [['c0', 'c2'], ['c1']]);
  assert.deepEqual([storm.batches().processed, storm.stats().calls], [2, 0]);
});
