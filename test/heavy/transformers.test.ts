/** Engine transformers as it really is: loading, tokenizing, computing, streaming, with tiny models made here. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { contentOf, eventually, startWorld } from '../e2e/world.ts';
import type { World } from '../e2e/world.ts';
import { heavyFolder, isInstalled } from './install.ts';
import { modelFolder } from './tiny-models/folder.ts';
import { writeChatModel, writeSummarizer } from './tiny-models/onnx-models.ts';
import { ENDLESS } from './tiny-models/vocabulary.ts';

const WORDS = 'harbour ship crane tide quay cargo sailor north';

async function start(t: TestContext, more: { down?: boolean; models?: Record<string, object>; directory?: string } = {}): Promise<World> {
  const folder = modelFolder(t);
  writeChatModel(join(folder, 'chat'));
  writeSummarizer(join(folder, 'summarizer'));
  const models = {
    chat: { weights: join(folder, 'chat'), dtype: 'fp32', maxTokens: 60 },
    summarize: { weights: join(folder, 'summarizer'), dtype: 'fp32' },
    ...more.models,
  };
  return startWorld(t, {
    storms: { a: more.down === true ? { faults: [{ kind: '503' }] } : {} },
    providers: { offline: { protocol: 'local', engine: 'transformers', models } as never },
    config: { policy: { retry: { baseDelay: '1ms' } } },
    models: { fast: ['a/m', 'offline/chat'], summary: ['a/m', 'offline/summarize', 'local/extract'] },
    directory: more.directory ?? heavyFolder,
  });
}

const messages = [{ role: 'user' as const, content: 'Tell me of the harbour.' }];

test('a chat model answers, plain and token by token, with what it used', async (t) => {
  if (!(await isInstalled(t))) return;
  const world = await start(t);
  const ask = { model: 'offline/chat', messages, max_tokens: 8 };
  const plain = await world.openai.chat.completions.create(ask);
  assert.equal(plain.choices[0]?.message.content, WORDS);
  assert.equal(plain.choices[0].finish_reason, 'length');
  assert.equal(plain.usage?.completion_tokens, 8);
  assert.ok(plain.usage.prompt_tokens > messages[0]!.content.length, 'its template is counted');
  const pieces: string[] = [];
  const stream = await world.openai.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
    if (chunk.usage) assert.deepEqual(chunk.usage, plain.usage);
  }
  assert.equal(pieces.join(''), WORDS);
  assert.ok(pieces.length >= 7, 'it came token by token');
});

test('an answer ends where the model ends it, or at a stop text', async (t) => {
  if (!(await isInstalled(t))) return;
  const world = await start(t);
  const whole = await world.openai.chat.completions.create({ model: 'offline/chat', messages });
  assert.equal(whole.choices[0]?.finish_reason, 'stop');
  assert.match(whole.choices[0].message.content!, /^harbour ship .* map$/);
  const stopped = await world.openai.chat.completions.create({ model: 'offline/chat', messages, stop: ' quay' });
  assert.equal(stopped.choices[0]?.message.content, 'harbour ship crane tide');
  assert.equal(stopped.choices[0].finish_reason, 'stop');
  const bare = await world.openai.completions.create({ model: 'offline/chat', prompt: 'The ', max_tokens: 2 });
  assert.equal(bare.choices[0]?.text, ' harbour ship');
});

test('a summarizer answers chat requests with a summary of the last message', async (t) => {
  if (!(await isInstalled(t))) return;
  const world = await start(t, { down: true });
  const wish = [{ role: 'user', content: `Summarize this:\n\n${'The harbour is full of ships. '.repeat(400)}` }];
  for (const stream of [false, true]) {
    const seen = await world.ask({ model: 'summary', messages: wish, max_tokens: 8, stream });
    assert.equal(seen.status, 200, seen.text);
    assert.equal(seen.headers.get('x-breakwater-target'), 'offline/summarize');
    assert.equal(seen.headers.get('x-breakwater-fallback'), 'overloaded');
    assert.equal(contentOf(seen.text), WORDS);
  }
});

test('weights of the hub that lie on this machine are used without a network', async (t) => {
  if (!(await isInstalled(t))) return;
  const cacheDir = modelFolder(t);
  writeSummarizer(join(cacheDir, 'Xenova', 'distilbart-cnn-6-6'));
  const world = await startWorld(t, {
    storms: { a: {} },
    providers: {
      offline: { protocol: 'local', engine: 'transformers', cacheDir, models: { summarize: { dtype: 'fp32' } } },
      empty: { protocol: 'local', engine: 'transformers' },
    } as never,
    directory: heavyFolder,
  });
  const wish = [{ role: 'user', content: 'The harbour is full of ships.' }];
  const seen = await world.ask({ model: 'offline/summarize', messages: wish, max_tokens: 8 });
  assert.equal(contentOf(seen.text), WORDS);
  const none = await world.ask({ model: 'empty/summarize', messages: wish });
  assert.equal(none.status, 501);
  assert.match(none.text, /hub: Xenova\/distilbart-cnn-6-6 in its models entry/);
});

test('a caller that leaves stops the computing within a second, and many are answered one at a time', async (t) => {
  if (!(await isInstalled(t))) return;
  const world = await start(t);
  const controller = new AbortController();
  const endless = { model: 'offline/chat', prompt: ENDLESS, max_tokens: 1_900, stream: true };
  const response = await world.post('/v1/completions', endless, { signal: controller.signal });
  await response.body!.getReader().read();
  controller.abort();
  const leftAt = performance.now();
  const next = await world.openai.completions.create({ model: 'offline/chat', prompt: 'The ', max_tokens: 1 });
  assert.equal(next.choices[0]?.text, ' harbour');
  assert.ok(performance.now() - leftAt < 1_000);
  const many = await Promise.all(Array.from({ length: 12 }, () => world.ask({ model: 'offline/chat', messages, max_tokens: 8 })));
  assert.deepEqual(new Set(many.map(({ text }) => contentOf(text))), new Set([WORDS]));
  await eventually(() => world.gateway.queue().inFlight === 0, 'nothing runs');
  const { engine, inFlight } = world.gateway.targets().find(({ target }) => target === 'offline/chat')!;
  assert.deepEqual([engine?.state, engine?.crashes, inFlight], ['ready', 0, 0]);
  assert.ok(engine!.heapBytes > 0 && engine!.heapBytes < 512 * 2 ** 20);
});

test('a prompt that is too long, and weights that are missing or broken, send the caller on', async (t) => {
  if (!(await isInstalled(t))) return;
  const world = await start(t, { models: { gone: { weights: '/nowhere/at/all' }, broken: { weights: heavyFolder } } });
  const long = await world.ask({ model: 'offline/chat', messages: [{ role: 'user', content: 'word '.repeat(3_000) }] });
  assert.equal(long.status, 400);
  assert.match(long.text, /context_length_exceeded/);
  const gone = await world.ask({ model: 'offline/gone' });
  assert.equal(gone.status, 501);
  assert.doesNotMatch(gone.text, /nowhere/, "a path is no caller's business");
  assert.match(world.gateway.targets().find(({ target }) => target === 'offline/gone')!.engine!.error!, /nowhere/);
  const broken = await world.ask({ model: 'offline/broken' }, { 'x-breakwater-deadline-ms': '3000' });
  assert.ok(broken.status >= 500, broken.text);
  assert.doesNotMatch(broken.text, /heavy/);
});
