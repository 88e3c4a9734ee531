/** Answers with a success status that hold less than was asked for, or in another shape: what the caller sees, and exact upstream calls. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse } from '../../src/testing/index.ts';
import type { SimulatedResponse } from '../../src/testing/index.ts';
import { json } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';
import { contentOf } from './world.ts';

const twoTargets = (t: TestContext, first: SimulatedResponse, second: SimulatedResponse = chatResponse()) =>
  startVirtualWorld(t, { providers: { a: () => first, b: () => second }, domain: '.test' });
const choice = (index: number, message: object, finish = 'stop') => ({
  index,
  message: { role: 'assistant', ...message },
  finish_reason: finish,
});
const plain = (...choices: object[]) => json(200, { id: 'x', object: 'chat.completion', choices });
const events = (...values: (object | string)[]): SimulatedResponse => ({
  steps: [
    { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } },
    ...values.map((value) => ({ do: 'send' as const, bytes: `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n` })),
  ],
});
const halfCall = {
  content: null,
  tool_calls: [{ index: 0, id: 'c', type: 'function', function: { name: 'f', arguments: '{"city":"Tro' } }],
};

async function post(world: VirtualWorld, path: string, body: object): Promise<{ response: Response; text: string }> {
  const sent = world.fetch(`http://breakwater/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'fast', ...body }),
  });
  return world.until(sent.then(async (response) => ({ response, text: await response.text() })));
}

describe('a tool call that ends inside its arguments', () => {
  it('of a plain answer: another target answers', async (t) => {
    const world = await twoTargets(t, plain(choice(0, halfCall, 'tool_calls')));
    const seen = await world.answerTo();
    assert.deepEqual([seen.headers.get('x-breakwater-target'), seen.headers.get('x-breakwater-fallback')], ['b/m', 'interrupted']);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
  });

  it('of a stream: an error in the stream, no finish reason, no [DONE]', async (t) => {
    const ended = { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] };
    const { steps } = events({ choices: [{ index: 0, delta: halfCall, finish_reason: null }] }, ended, '[DONE]');
    const world = await twoTargets(t, { steps: [...steps].flatMap((step) => [step, { do: 'wait' as const, ms: 10 }]) });
    const seen = await world.answerTo({ stream: true });
    assert.match(seen.text, /stream_interrupted/);
    assert.doesNotMatch(seen.text, /\[DONE\]|"finish_reason":"/);
  });
});

describe('fewer choices than were asked for', () => {
  it('another target is asked', async (t) => {
    const world = await twoTargets(
      t,
      plain(choice(0, { content: 'one' })),
      plain(choice(0, { content: 'a' }), choice(1, { content: 'b' })),
    );
    const seen = await world.answerTo({ n: 2 });
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
  });

  it('of a lone target: passed on after one call, and marked', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => plain(choice(0, { content: 'one' })) } });
    const seen = await world.answerTo({ n: 2 });
    assert.deepEqual([seen.status, seen.headers.get('x-breakwater-quality'), world.callsTo('a')], [200, 'short', 1]);
    assert.equal(contentOf(seen.text), 'one');
  });

  it('of embeddings: no answer, for those that follow would pass for those before', async (t) => {
    const vector = (index: number) => ({ index, object: 'embedding', embedding: [0.5, index] });
    const short = json(200, { object: 'list', data: [vector(0)] });
    const world = await twoTargets(t, short, json(200, { object: 'list', data: [vector(0), vector(1)] }));
    const { response, text } = await post(world, '/embeddings', { input: ['x', 'y'] });
    assert.equal(response.headers.get('x-breakwater-target'), 'b/m');
    assert.equal((JSON.parse(text) as { data: unknown[] }).data.length, 2);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
  });
});

describe('an answer in a shape that its clients do not read', () => {
  it('a whole message in a stream becomes a delta', async (t) => {
    const world = await twoTargets(t, events({ object: 'chat.completion', choices: [choice(0, { content: 'hello' })] }, '[DONE]'));
    const seen = await world.answerTo({ stream: true });
    assert.equal(contentOf(seen.text), 'hello');
    assert.match(seen.text, /\[DONE\]/);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 0]);
  });

  it('the text of a completion in a chat stream becomes the content of its deltas, and of a plain answer', async (t) => {
    const piece = (text: string, finish: string | null) => ({
      object: 'text_completion',
      choices: [{ index: 0, text, finish_reason: finish }],
    });
    const streamed = await twoTargets(t, events(piece('hel', null), piece('lo', null), piece('', 'stop'), '[DONE]'));
    assert.equal(contentOf((await streamed.answerTo({ stream: true })).text), 'hello');
    assert.equal(contentOf((await streamed.answerTo({ stream: false, seed: 2 })).text), 'hello', 'a stream for a plain request');
    const whole = await twoTargets(t, json(200, piece('hello', 'stop')));
    assert.equal(contentOf((await whole.answerTo()).text), 'hello');
    assert.equal(contentOf((await whole.answerTo({ stream: true })).text), 'hello', 'a plain answer for a stream');
  });
});

describe('a JSON error that calls itself something else', () => {
  const body = (type: string, value: string | Uint8Array): SimulatedResponse => ({
    steps: [
      { do: 'head', status: 200, headers: { 'content-type': type } },
      { do: 'send', bytes: value },
    ],
  });
  const sound = Buffer.from([0x7b, 0x22, 0x00, 0xff, 0x10, 0x80]);
  const cases = [
    ['/audio/speech', { input: 'x', voice: 'a' }, 'audio/mpeg', body('audio/mpeg', sound)],
    ['/audio/speech', { input: 'x', voice: 'a' }, 'application/octet-stream', body('audio/mpeg', sound)],
    ['/images/generations', { prompt: 'x' }, 'image/png', json(200, { created: 1, data: [{ b64_json: 'AA' }] })],
  ] as const;
  for (const [path, request, type, good] of cases) {
    it(`${path} as ${type}: another target answers`, async (t) => {
      const error = JSON.stringify({ error: { message: 'the engine is overloaded', code: 'overloaded' } });
      const world = await twoTargets(t, body(type, error), good);
      const { response } = await post(world, path, request);
      assert.deepEqual([response.status, response.headers.get('x-breakwater-target')], [200, 'b/m']);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
    });
  }

  it('any JSON object is no audio', async (t) => {
    const world = await twoTargets(t, body('audio/mpeg', '{"status_code":1002}'), body('audio/mpeg', sound));
    const { response } = await post(world, '/audio/speech', { input: 'x', voice: 'a' });
    assert.equal(response.headers.get('x-breakwater-target'), 'b/m');
  });

  it('sound that begins like JSON is passed on as it came', async (t) => {
    for (const bytes of [sound, Buffer.from('{'), Buffer.from('{"a'), Buffer.concat([Buffer.from('{"'), Buffer.alloc(100_000, 1)])]) {
      const world = await startVirtualWorld(t, { providers: { a: () => body('audio/pcm', bytes) } });
      const sent = world.fetch('http://breakwater/v1/audio/speech', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'fast', input: 'x', voice: 'a' }),
      });
      const got = await world.until(sent.then(async (response) => Buffer.from(await response.arrayBuffer())));
      assert.ok(got.equals(bytes), `${got.length} of ${bytes.length} bytes`);
    }
  });
});
