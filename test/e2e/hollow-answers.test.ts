/** Answers with a success status that hold nothing, or end for a reason of their own: exact upstream calls, in virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedStep } from '../../src/testing/index.ts';
import { json } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';
import { contentOf } from './world.ts';

const usage = { prompt_tokens: 9, completion_tokens: 512, completion_tokens_details: { reasoning_tokens: 512 } };
const plain = (message: object, finish: string): SimulatedResponse =>
  json(200, { id: 'x', choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: finish }], usage });
const event = (value: object | string): SimulatedStep => ({
  do: 'send',
  bytes: `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`,
});
const chunk = (delta: object, finish: string | null = null): SimulatedStep =>
  event({ id: 'x', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] });
const stream = (...steps: SimulatedStep[]): SimulatedResponse => ({
  steps: [{ do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } }, ...steps],
});
const streamed = (deltas: object[], finish: string): SimulatedResponse =>
  stream(
    chunk({ role: 'assistant', content: '' }),
    ...deltas.flatMap((delta): SimulatedStep[] => [chunk(delta), { do: 'wait', ms: 100 }]),
    chunk({}, finish),
    event({ id: 'x', choices: [], usage }),
    event('[DONE]'),
  );

const twoTargets = (t: TestContext, first: SimulatedResponse) =>
  startVirtualWorld(t, { providers: { a: () => first, b: () => chatResponse() }, domain: '.test' });

describe('a finish reason that speaks of a failure', () => {
  for (const finish of ['network_error', 'abort', 'timeout', 'internal_error']) {
    it(`${finish} of a whole answer: another target answers`, async (t) => {
      const world = await twoTargets(t, plain({ content: 'half' }, finish));
      const seen = await world.answerTo();
      assert.deepEqual([seen.status, seen.headers.get('x-breakwater-target')], [200, 'b/m']);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
    });

    it(`${finish} of a stream without content: another target answers`, async (t) => {
      const world = await twoTargets(t, streamed([], finish));
      const seen = await world.answerTo({ stream: true });
      assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
    });

    it(`${finish} of a stream that has begun: an error in the stream, and no [DONE]`, async (t) => {
      const world = await twoTargets(t, streamed([{ content: 'half' }], finish));
      const seen = await world.answerTo({ stream: true });
      assert.match(seen.text, /stream_interrupted/);
      assert.doesNotMatch(seen.text, /\[DONE\]/);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 0]);
    });
  }
});

describe('an answer whose limit was spent on reasoning', () => {
  for (const isStream of [false, true]) {
    it(`is truncated, and costs one call (${isStream ? 'streamed' : 'plain'})`, async (t) => {
      const answer = isStream ? streamed([], 'length') : plain({ content: '' }, 'length');
      const world = await twoTargets(t, answer);
      const seen = await world.answerTo({ stream: isStream, max_tokens: 512 });
      assert.deepEqual([seen.status, seen.headers.get('x-breakwater-target')], [200, 'a/m']);
      assert.match(seen.text, /"finish_reason":"length"/);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 0]);
    });
  }
});

describe('an answer of white space alone', () => {
  for (const isStream of [false, true]) {
    it(`is empty (${isStream ? 'streamed' : 'plain'})`, async (t) => {
      const answer = isStream ? streamed([{ content: '\n' }, { content: '\n \n' }], 'stop') : plain({ content: ' \n\n' }, 'stop');
      const world = await twoTargets(t, answer);
      const seen = await world.answerTo({ stream: isStream });
      assert.deepEqual([seen.headers.get('x-breakwater-target'), seen.headers.get('x-breakwater-fallback')], ['b/m', 'empty']);
      assert.notEqual(contentOf(seen.text).trim(), '');
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
    });
  }
});

describe('reasoning under a name of the provider', () => {
  it('keeps a stream alive for minutes, and reaches the caller as it comes', async (t) => {
    const steps: SimulatedStep[] = [chunk({ role: 'assistant', content: '' })];
    for (let i = 0; i < 10; i++) steps.push({ do: 'wait', ms: 30_000 }, chunk({ reasoning_text: `step ${i}` }));
    const answer = stream(...steps, chunk({ content: 'Hi' }), chunk({}, 'stop'), event('[DONE]'));
    const world = await startVirtualWorld(t, { providers: { a: () => answer }, domain: '.test' });
    const seen = await world.answerTo({ stream: true });
    assert.equal(contentOf(seen.text), 'Hi');
    assert.ok(seen.headAtMs <= 30_000, `${seen.headAtMs} ms`);
    assert.equal(world.callsTo('a'), 1);
  });
});

const post = (world: VirtualWorld, path: string, body: object): Promise<Response> =>
  world.fetch(`http://breakwater/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

const HOLLOW: readonly (readonly [path: string, request: object, hollow: string | object, good: object])[] = [
  ...[[null], [[]], [''], [[null, null]]].map(
    ([embedding]) =>
      ['/embeddings', { input: 'x' }, { data: [{ index: 0, embedding }] }, { data: [{ index: 0, embedding: [0.5] }] }] as const,
  ),
  ['/images/generations', { prompt: 'x' }, { created: 1, data: [] }, { created: 1, data: [{ b64_json: 'AA' }] }],
  ['/images/generations', { prompt: 'x' }, { created: 1, data: [{ url: null }] }, { created: 1, data: [{ url: 'https://x' }] }],
  ['/rerank', { query: 'x', documents: ['a'] }, { results: [] }, { results: [{ index: 0, relevance_score: 0.5 }] }],
  ['/moderations', { input: 'x' }, { id: 'm', results: [] }, { id: 'm', results: [{ flagged: false }] }],
  ['/moderations', { input: 'x' }, '', { id: 'm', results: [{ flagged: false }] }],
];

describe('an answer without what its endpoint is for', () => {
  for (const [path, request, hollow, good] of HOLLOW) {
    it(`fails, is asked for elsewhere, and is never cached: ${path} ${JSON.stringify(hollow)}`, async (t) => {
      let isWell = false;
      const answer = () => json(200, isWell ? good : hollow);
      const world = await startVirtualWorld(t, { providers: { a: answer, b: answer }, config: { policy: { cache: { enabled: true } } } });
      const ask = async () => {
        const sent = post(world, path, { model: 'fast', ...request });
        return world.until(sent.then(async (response) => ({ status: response.status, text: await response.text() })));
      };
      const failed = await ask();
      assert.ok(failed.status >= 500, `${failed.status} ${failed.text}`);
      const calls = world.upstream.calls.length;
      assert.ok(calls >= 2 && calls <= 4, `${calls} calls`);
      isWell = true;
      const answered = await ask();
      assert.deepEqual([answered.status, JSON.parse(answered.text)], [200, good]);
      assert.equal(world.upstream.calls.length, calls + 1);
    });
  }
});

describe('a web page with a success status', () => {
  const page: SimulatedResponse = {
    steps: [
      { do: 'head', status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } },
      { do: 'send', bytes: '<!doctype html><title>Sign in</title>' },
    ],
  };
  for (const [path, request, good] of [
    ['/audio/speech', { input: 'x', voice: 'a' }, { audio: 'AA' }],
    ['/images/generations', { prompt: 'x' }, { created: 1, data: [{ b64_json: 'AA' }] }],
    ['/rerank', { query: 'x', documents: ['a'] }, { results: [{ index: 0, relevance_score: 0.5 }] }],
    ['/moderations', { input: 'x' }, { id: 'm', results: [{ flagged: false }] }],
  ] as const) {
    it(`is no answer of ${path}: another target is asked`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => page, b: () => json(200, good) }, domain: '.test' });
      const sent = post(world, path, { model: 'fast', ...request });
      const { headers, text } = await world.until(
        sent.then(async (response) => ({ headers: response.headers, text: await response.text() })),
      );
      assert.deepEqual([headers.get('x-breakwater-target'), headers.get('x-breakwater-fallback')], ['b/m', 'malformed']);
      assert.deepEqual(JSON.parse(text), good);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
    });
  }
});
