/** Engine llama as it really is: a GGUF file through llama.cpp, with a tiny model made here. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { contentOf, eventually, startWorld } from '../e2e/world.ts';
import type { World } from '../e2e/world.ts';
import { heavyFolder, isInstalled } from './install.ts';
import { modelFolder } from './tiny-models/folder.ts';
import { writeLlamaModel } from './tiny-models/gguf-model.ts';
import { ENDLESS } from './tiny-models/vocabulary.ts';

const WORDS = 'harbour ship crane tide quay cargo sailor north';
const messages = [
  { role: 'system' as const, content: 'Be brief.' },
  { role: 'user' as const, content: 'Tell me of the harbour.' },
];

async function start(t: TestContext, layers = 1): Promise<World> {
  const folder = modelFolder(t);
  writeLlamaModel(join(folder, 'chat.gguf'), layers);
  const models = {
    chat: { weights: join(folder, 'chat.gguf'), maxTokens: 60 },
    broken: { weights: join(heavyFolder, 'package.json') },
  };
  return startWorld(t, {
    storms: { a: { faults: [{ kind: '503' }] } },
    providers: {
      offline: { protocol: 'local', engine: 'llama', warm: true, models: { chat: models.chat } },
      bad: { protocol: 'local', engine: 'llama', models: { broken: models.broken } },
    } as never,
    config: { policy: { retry: { baseDelay: '1ms' } } },
    models: { fast: ['a/m', 'bad/broken', 'offline/chat'] },
    directory: heavyFolder,
  });
}

test('a GGUF chat model answers, plain and token by token, with what it used', async (t) => {
  if (!(await isInstalled(t))) return;
  const world = await start(t);
  const ask = { model: 'offline/chat', messages, max_tokens: 8 };
  const plain = await world.openai.chat.completions.create(ask);
  assert.equal(plain.choices[0]?.message.content, WORDS);
  assert.equal(plain.choices[0].finish_reason, 'length');
  assert.equal(plain.usage?.completion_tokens, 8);
  assert.ok(plain.usage.prompt_tokens > messages[1]!.content.length);
  const pieces: string[] = [];
  const stream = await world.openai.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
    if (chunk.usage) assert.equal(chunk.usage.completion_tokens, 8);
  }
  assert.equal(pieces.join(''), WORDS);
  assert.ok(pieces.length >= 7, 'it came token by token');
  const whole = await world.openai.chat.completions.create({ model: 'offline/chat', messages });
  assert.equal(whole.choices[0]?.finish_reason, 'stop');
  const stopped = await world.openai.chat.completions.create({ model: 'offline/chat', messages, stop: ' quay' });
  assert.equal(stopped.choices[0]?.message.content, 'harbour ship crane tide');
  const bare = await world.openai.completions.create({ model: 'offline/chat', prompt: ENDLESS, max_tokens: 2 });
  assert.equal(bare.choices[0]?.text, ' net oar');
});

test('when all else fails, broken weights included, it answers and says so', async (t) => {
  if (!(await isInstalled(t))) return;
  const world = await start(t);
  const seen = await Promise.all(Array.from({ length: 6 }, (_, i) => world.ask({ messages, max_tokens: 8, stream: i % 2 === 0 })));
  for (const { status, headers, text } of seen) {
    assert.equal(status, 200, text);
    assert.equal(headers.get('x-breakwater-target'), 'offline/chat');
    assert.equal(contentOf(text), WORDS);
  }
});

test('a caller that leaves stops the computing within a second', async (t) => {
  if (!(await isInstalled(t))) return;
  const world = await start(t, 8);
  const controller = new AbortController();
  const endless = { model: 'offline/chat', prompt: ENDLESS, max_tokens: 1_900, stream: true };
  const response = await world.post('/v1/completions', endless, { signal: controller.signal });
  await response.body!.getReader().read();
  controller.abort();
  const leftAt = performance.now();
  const next = await world.openai.completions.create({ model: 'offline/chat', prompt: 'The ', max_tokens: 1 });
  assert.equal(next.choices[0]?.text, ' harbour');
  assert.ok(performance.now() - leftAt < 1_000);
  await eventually(() => world.gateway.queue().inFlight === 0, 'nothing runs');
  const { engine } = world.gateway.targets().find(({ target }) => target === 'offline/chat')!;
  assert.deepEqual([engine?.state, engine?.crashes], ['ready', 0]);
});

test('closing while it computes waits for the step, and takes nothing else along', async (t) => {
  if (!(await isInstalled(t))) return;
  const world = await start(t, 8);
  const response = await world.post('/v1/completions', { model: 'offline/chat', prompt: ENDLESS, max_tokens: 1_900, stream: true });
  await response.body!.getReader().read();
  await world.close();
});
