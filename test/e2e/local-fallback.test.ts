/** The last resort: when no provider answers, a summary without a model does, and says so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentOf, eventually, startWorld, WAYS } from './world.ts';

const article = `The harbour of Rotterdam is the largest in Europe, and handles more than 400 million tonnes of cargo a year. In 2004
the harbour lost its place as the largest of the world to Shanghai. Most of the cargo of the harbour comes from Asia and America.
A cat slept on a bench. A new terminal in the harbour, built for the largest ships, was opened in 2015. Robots carry its cargo.`;
const messages = [{ role: 'user', content: `Summarize this article:\n\n${article}` }];
const breaker = { openFor: '50ms', maxOpenFor: '100ms' } as const;
const providers = { a: { breaker }, b: { breaker } };
const config = { policy: { retry: { baseDelay: '1ms' } } } as const;

for (const way of WAYS) {
  test(`a total outage: every request is answered here and marked; then the providers are back (${way})`, async (t) => {
    const world = await startWorld(t, {
      storms: { a: {}, b: {} },
      providers,
      config,
      models: { fast: ['a/m', 'b/m', 'local/extract'] },
    });
    const { a, b } = world.storms;
    for (const storm of [a!, b!]) storm.setFaults([{ kind: '503' }]);
    for (let i = 0; i < 20; i++) {
      const seen = await world.ask({ messages, stream: i % 2 === 0 }, {}, way);
      assert.equal(seen.status, 200, seen.text);
      assert.equal(seen.headers.get('x-breakwater-target'), 'local/extract');
      assert.notEqual(seen.headers.get('x-breakwater-fallback'), null);
      assert.match(seen.text, /"model":"local\/extract"/);
      const content = contentOf(seen.text);
      assert.ok(article.replaceAll('\n', ' ').includes(content.slice(0, 40)), content);
      assert.ok(content.length < article.length);
    }
    for (const storm of [a!, b!]) storm.setFaults([]);
    let target: string | null = null;
    const until = performance.now() + 10_000;
    while (target !== 'a/m' && performance.now() < until)
      target = (await world.ask({ messages }, {}, way)).headers.get('x-breakwater-target');
    assert.equal(target, 'a/m');
  });
}

for (const way of WAYS) {
  test(`a total outage with a cache: what was answered before comes from there, stale, the rest from here (${way})`, async (t) => {
    const world = await startWorld(t, {
      storms: { a: {}, b: {} },
      providers,
      config: { policy: { ...config.policy, cache: { enabled: true, ttl: '1ms' } } },
      models: { fast: ['a/m', 'b/m', 'local/extract'] },
    });
    const { a, b } = world.storms;
    const known = await world.ask({ messages, max_tokens: 200 }, {}, way);
    await new Promise((resolve) => setTimeout(resolve, 10)); // beyond its time
    for (const storm of [a!, b!]) storm.setFaults([{ kind: '503' }]);
    for (let i = 0; i < 10; i++) {
      const stale = await world.ask({ messages, max_tokens: 200, stream: i % 2 === 0 }, {}, way);
      assert.equal(stale.status, 200, stale.text);
      assert.equal(stale.headers.get('x-breakwater-cache'), 'stale');
      assert.match(stale.headers.get('age') ?? '', /^\d+$/);
      assert.equal(contentOf(stale.text), contentOf(known.text));
      const other = await world.ask({ messages: [{ role: 'user', content: `${i}. ${article}` }], stream: i % 2 === 0 }, {}, way);
      assert.equal(other.headers.get('x-breakwater-target'), 'local/extract');
      assert.equal(other.headers.get('x-breakwater-cache'), null);
    }
    for (const storm of [a!, b!]) storm.setFaults([]);
    let target: string | null = null;
    const until = performance.now() + 10_000;
    while (target !== 'a/m' && performance.now() < until)
      target = (await world.ask({ messages }, {}, way)).headers.get('x-breakwater-target');
    assert.equal(target, 'a/m');
  });
}

test('legacy completions fall back to it too', async (t) => {
  const world = await startWorld(t, { storms: { a: { faults: [{ kind: '500' }] } }, config, models: { fast: ['a/m', 'local/extract'] } });
  const plain = await world.openai.completions.create({ model: 'fast', prompt: article });
  assert.equal(plain.model, 'local/extract');
  assert.ok(plain.choices[0]!.text.length > 20);
  let streamed = '';
  const stream = await world.openai.completions.create({ model: 'fast', prompt: article, stream: true });
  for await (const chunk of stream) streamed += chunk.choices[0]?.text ?? '';
  assert.equal(streamed, plain.choices[0]!.text);
});

test('the official SDK reads it, streamed with usage, without any config of it', async (t) => {
  const world = await startWorld(t, { storms: { a: {} } });
  const ask = { model: 'local/extract', messages: [{ role: 'user' as const, content: article }] };
  const plain = await world.openai.chat.completions.create(ask);
  assert.ok((plain.usage?.completion_tokens ?? 0) > 5);
  let streamed = '';
  let usage: unknown = null;
  const stream = await world.openai.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    streamed += chunk.choices[0]?.delta.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal(streamed, plain.choices[0]!.message.content);
  assert.deepEqual(usage, plain.usage);
});

test('what it can not do goes to whoever can, else the caller is told what it was', async (t) => {
  const world = await startWorld(t, { storms: { a: {} }, models: { fast: ['local/extract', 'a/m'], alone: ['local/extract'] } });
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
  const seen = await world.ask({ tools });
  assert.equal(seen.status, 200);
  assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
  assert.equal(seen.headers.get('x-breakwater-fallback'), 'unsupported');
  const alone = await world.ask({ model: 'alone', tools });
  assert.equal(alone.status, 400);
  assert.match(alone.text, /local models do not support tools/);
});

test('many at once are answered one at a time, none is lost, and nothing is left behind', async (t) => {
  const world = await startWorld(t, { storms: { a: { faults: [{ kind: '503' }] } }, config, models: { fast: ['a/m', 'local/extract'] } });
  const leavers = Array.from({ length: 10 }, async (_, i) => {
    const controller = new AbortController();
    const asked = world.post('/v1/chat/completions', { model: 'fast', messages, stream: true }, { signal: controller.signal });
    setTimeout(() => controller.abort(), i * 3);
    await asked.then((response) => response.text()).catch(() => {});
  });
  const seen = await Promise.all(Array.from({ length: 50 }, () => world.ask({ messages })));
  await Promise.all(leavers);
  assert.deepEqual(
    new Set(seen.map(({ status, headers }) => `${status} ${headers.get('x-breakwater-target')}`)),
    new Set(['200 local/extract']),
  );
  await eventually(() => world.gateway.queue().inFlight === 0, 'nothing runs');
  const status = world.gateway.targets().find(({ target }) => target === 'local/extract')!;
  assert.equal(status.inFlight, 0);
  assert.deepEqual(status.limits, [{ kind: 'concurrency', limit: 1, available: 1 }]);
  assert.equal(status.engine?.state, 'ready');
  assert.ok(status.engine.heapBytes > 0 && status.engine.heapBytes < 256 * 2 ** 20);
  assert.equal(world.gateway.snapshot().engines.length, 1);
});

test('a model that the config does not know is told as the provider would', async (t) => {
  const world = await startWorld(t, { storms: { a: {} } });
  const seen = await world.ask({ model: 'local/other' });
  assert.equal(seen.status, 404);
  assert.match(seen.text, /unknown local model local\/other/);
});

test('what stands in for an answer is kept for nobody: the cache asks again, and the provider is heard when it is back', async (t) => {
  const world = await startWorld(t, {
    storms: { a: { faults: [{ kind: '503' }] } },
    providers: { a: { breaker } },
    config: { policy: { cache: { enabled: true }, retry: { baseDelay: '1ms' } } },
    models: { fast: ['a/m', 'local/extract'] },
  });
  // One that is not cut at its bound: those are kept for nobody either.
  const body = { messages, max_tokens: 4_000 };
  for (const stream of [false, true]) {
    const seen = await world.ask({ ...body, stream });
    assert.equal(seen.headers.get('x-breakwater-target'), 'local/extract');
    assert.equal(seen.headers.get('x-breakwater-cache'), null);
  }
  world.storms['a']!.setFaults([]);
  let target: string | null = null;
  const until = performance.now() + 10_000;
  while (target !== 'a/m' && performance.now() < until) target = (await world.ask(body)).headers.get('x-breakwater-target');
  assert.equal(target, 'a/m');
  assert.equal((await world.ask(body)).headers.get('x-breakwater-cache'), 'hit');
});

test('healthy providers with a queue answer all themselves, and none is answered here', async (t) => {
  const slow = { timing: { plainMs: 100 } };
  const limits = { concurrency: 4 };
  const world = await startWorld(t, {
    storms: { a: slow, b: slow },
    providers: { a: { limits }, b: { limits } },
    models: { fast: ['a/m', 'b/m', 'local/extract'] },
  });
  const seen = await Promise.all(Array.from({ length: 60 }, () => world.ask({ messages }, { 'x-breakwater-priority': 'low' })));
  for (const { status, headers } of seen) {
    assert.equal(status, 200);
    assert.match(headers.get('x-breakwater-target')!, /^[ab]\/m$/);
  }
  assert.equal(world.storms['a']!.stats().calls + world.storms['b']!.stats().calls, 60);
});
