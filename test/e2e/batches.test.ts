/** OpenAI's files and batches, by the official SDK, over real sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toFile } from 'openai';
import type OpenAI from 'openai';
import { startWorld } from './world.ts';

const line = (n: number, body: object = {}): string =>
  JSON.stringify({
    custom_id: `item-${n}`,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'fast', messages: [{ role: 'user', content: `Say ${n}.` }], max_tokens: 10, ...body },
  });

async function ended(openai: OpenAI, id: string): Promise<OpenAI.Batches.Batch> {
  for (;;) {
    const batch = await openai.batches.retrieve(id);
    if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('a batch of chat completions runs to its end', async (t) => {
  const world = await startWorld(t, { storms: { a: {} } });
  const { openai } = world;
  const text = Array.from({ length: 20 }, (_, n) => line(n)).join('\n');
  const file = await openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' });
  assert.equal(file.bytes, Buffer.byteLength(text));
  const batch = await openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  assert.equal(batch.status, 'validating');
  const done = await ended(openai, batch.id);
  const out = await (await openai.files.content(done.output_file_id!)).text();
  assert.equal(out.trim().split('\n').length, 20);
});
