/** kill -9 while background responses run and message batches are received: nothing is lost, and finished work is not repeated. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import type { Response, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { startStorm } from '../../src/storm/index.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { stageCrashes } from './crash-stage.ts';

const FINAL = ['completed', 'failed', 'incomplete', 'cancelled'];
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('kill -9: every background response ends once, and a stream continues after its last event', async (t) => {
  const random = createSeededRandom(3);
  const storm = await startStorm({ timing: { tokens: 40, tokensPerSecond: 40 }, keepBodies: 10_000 });
  t.after(() => storm.close());
  const start = await stageCrashes(t, { baseUrl: storm.url }, 'a/storm-large');
  let gateway = await start();
  const plain: string[] = [];
  /** All events by response id, over all readers. */
  const streams = new Map<string, ResponseStreamEvent[]>();
  const follow = async (stream: AsyncIterable<ResponseStreamEvent>, known: string | null): Promise<void> => {
    let id = known;
    try {
      for await (const event of stream) {
        if (event.type === 'response.created') streams.set((id = event.response.id), []);
        streams.get(id!)!.push(event);
      }
    } catch {
      // The gateway was killed.
    }
  };
  for (let kill = 0; kill < 6; kill++) {
    const reading: Promise<void>[] = [];
    for (const [id, events] of streams) {
      const last = events.at(-1)!.sequence_number;
      reading.push(follow(await gateway.openai.responses.retrieve(id, { stream: true, starting_after: last }), id));
    }
    const input = `plain ${kill}`;
    plain.push((await gateway.openai.responses.create({ model: 'fast', input, background: true })).id);
    const stream = await gateway.openai.responses.create({ model: 'fast', input: `stream ${kill}`, background: true, stream: true });
    reading.push(follow(stream, null));
    await wait(200 + random.next() * 900);
    await gateway.kill();
    await Promise.all(reading);
    gateway = await start();
  }
  for (const [id, events] of streams) {
    const last = events.at(-1)!.sequence_number;
    await follow(await gateway.openai.responses.retrieve(id, { stream: true, starting_after: last }), id);
  }
  const ended = async (id: string): Promise<Response & { breakwater?: { repeated: number } }> => {
    for (;;) {
      const response = await gateway.openai.responses.retrieve(id);
      if (FINAL.includes(response.status!)) return response;
      await wait(50);
    }
  };
  const calls = (prompt: string): number => storm.stats().log.filter(({ body }) => body?.toString().includes(prompt)).length;
  const all = [
    ...plain.map((id, n) => ({ id, prompt: `plain ${n}` })),
    ...[...streams.keys()].map((id, n) => ({ id, prompt: `stream ${n}` })),
  ];
  assert.equal(all.length, 12);
  let repeated = 0;
  for (const { id, prompt } of all) {
    const response = await ended(id);
    if (response.status === 'failed') assert.match(response.error!.message, /the gateway stopped 3 times/);
    else assert.equal(response.status, 'completed', prompt);
    // Each crash repeats in-flight requests once, and reports it.
    const repeats = response.breakwater?.repeated ?? 0;
    if (response.status === 'completed') assert.ok(calls(prompt) <= repeats + 1, `${prompt}: ${calls(prompt)} calls, ${repeats} repeats`);
    repeated += repeats;
  }
  assert.ok(repeated > 0, 'something was in flight');
  for (const [id, events] of streams) {
    const numbers = events.map((event) => event.sequence_number);
    assert.ok(numbers.every((number, i) => i === 0 || number > numbers[i - 1]!), `numbers only grow: ${numbers.join(' ')}`); // prettier-ignore
    const last = events.at(-1)!;
    assert.ok(last.type === 'response.completed' || last.type === 'response.failed', last.type);
    assert.equal(last.response.id, id);
    if (last.type === 'response.failed') continue;
    const begins = events.map(({ type }) => type).lastIndexOf('response.in_progress');
    const text = events.slice(begins).map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join(''); // prettier-ignore
    assert.equal(text, (await ended(id)).output_text, 'the last beginning was seen whole');
  }
});

test('kill -9 while a message batch is received leaves nothing; once it is taken, it runs to its end', async (t) => {
  const storm = await startStorm({ timing: { plainMs: 50 } });
  t.after(() => storm.close());
  const start = await stageCrashes(t, { baseUrl: storm.url }, 'a/storm-large');
  let gateway = await start();
  const line = (n: number): string =>
    JSON.stringify({
      custom_id: `c${n}`,
      params: { model: 'fast', max_tokens: 5, messages: [{ role: 'user', content: `item ${n}. ${'x'.repeat(2_000)}` }] },
    });
  const lines = Array.from({ length: 2_000 }, (_, n) => line(n));
  const upload = request(`${gateway.base}/v1/messages/batches`, { method: 'POST' });
  upload.on('error', () => {});
  upload.write(`{"requests":[${lines.slice(0, 1_500).join(',')},`);
  await wait(300);
  await gateway.kill();
  gateway = await start();
  await wait(500);
  assert.deepEqual((await gateway.anthropic.messages.batches.list()).data, []);
  const body = `{"requests":[${lines.join(',')}]}`;
  const created = await fetch(`${gateway.base}/v1/messages/batches`, { method: 'POST', body });
  const { id } = (await created.json()) as { id: string };
  await gateway.kill();
  gateway = await start();
  const batches = gateway.anthropic.messages.batches;
  assert.deepEqual((await batches.list()).data.map((batch) => batch.id), [id]); // prettier-ignore
  while ((await batches.retrieve(id)).processing_status !== 'ended') await wait(100);
  const ids = new Set<string>();
  for await (const { custom_id: customId, result } of await batches.results(id)) {
    assert.equal(result.type, 'succeeded');
    ids.add(customId);
  }
  assert.equal(ids.size, 2_000);
  assert.ok(storm.stats().calls < 2_100, `${storm.stats().calls} calls`);
});
