/** Providers that answer in the other form than was asked, or call their answer what it is not: the caller gets what it asked for. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { chatResponse, chatStream } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualSeen, VirtualWorld } from './virtual.ts';
import { contentOf } from './world.ts';

const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"x":1}' } };
const usage = { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 };
const ANSWER = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 7,
  model: 'm',
  choices: [
    { index: 0, message: { role: 'assistant', content: 'one two three', refusal: null }, logprobs: null, finish_reason: 'stop' },
    {
      index: 1,
      message: { role: 'assistant', content: null, refusal: null, tool_calls: [call] },
      logprobs: null,
      finish_reason: 'tool_calls',
    },
  ],
  usage,
};
const JSON_TEXT = JSON.stringify(ANSWER);

const chunk = (choices: object[], more: object = {}) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 7, model: 'm', choices, ...more })}\n\n`;
const delta = (index: number, said: object, finish: string | null = null) => chunk([{ index, delta: said, finish_reason: finish }]);
const CALL_BEGINS = delta(1, { role: 'assistant', tool_calls: [{ index: 0, ...call, function: { name: 'f', arguments: '{"x"' } }] });
const BEGINNING = [delta(0, { role: 'assistant', content: '' }), delta(0, { content: 'one two ' }), CALL_BEGINS].join('');
const ENDING = [
  delta(1, { tool_calls: [{ index: 0, function: { arguments: ':1}' } }] }, 'tool_calls'),
  delta(0, { content: 'three' }),
  delta(0, {}, 'stop'),
  chunk([], { usage }),
].join('');
const EVENTS = `${BEGINNING}${ENDING}data: [DONE]\n\n`;

const body = (bytes: string | Uint8Array, type: string | undefined, more: Record<string, string> = {}): SimulatedResponse => ({
  steps: [
    { do: 'head', status: 200, headers: { ...(type === undefined ? {} : { 'content-type': type }), ...more } },
    { do: 'send', bytes: bytes as string },
  ],
});

const TYPES = ['application/json', 'text/event-stream', 'text/plain; charset=utf-8', 'application/octet-stream', undefined];

function asked(t: Parameters<typeof startVirtualWorld>[0], answer: SimulatedResponse, b: SimulatedResponse): Promise<VirtualWorld> {
  return startVirtualWorld(t, { providers: { a: () => answer, b: () => b } });
}

function assertStream(seen: VirtualSeen, wantsUsage: boolean): void {
  assert.equal(seen.status, 200);
  assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
  assert.match(seen.headers.get('content-type')!, /^text\/event-stream/);
  assert.equal(seen.headers.get('content-encoding'), null);
  assert.match(seen.text, /data: \[DONE\]\n\n$/);
  const events = [...seen.text.matchAll(/^data: (\{.*\})$/gm)].map((match) => JSON.parse(match[1]!) as typeof ANSWER);
  const deltas = events.flatMap(
    ({ choices }) => choices as unknown as { index: number; delta: Record<string, unknown>; finish_reason: string | null }[],
  );
  assert.equal(deltas.map(({ delta: said }) => said['content'] ?? '').join(''), 'one two three');
  const calls = deltas.flatMap(({ delta: said }) => (said['tool_calls'] ?? []) as { index: number; function: { arguments: string } }[]);
  assert.equal(calls.map(({ function: { arguments: text } }) => text).join(''), call.function.arguments);
  assert.ok(calls.every(({ index }) => index === 0));
  assert.deepEqual(deltas.flatMap(({ index, finish_reason: finish }) => (finish === null ? [] : [`${index} ${finish}`])).toSorted(), [
    '0 stop',
    '1 tool_calls',
  ]);
  assert.deepEqual(
    events.filter((event) => event.usage !== undefined && event.usage !== null).map((event) => event.usage),
    wantsUsage ? [usage] : [],
  );
}

function assertPlain(seen: VirtualSeen): void {
  assert.equal(seen.status, 200);
  assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
  assert.match(seen.headers.get('content-type')!, /^application\/json/);
  assert.equal(seen.headers.get('content-encoding'), null);
  assert.equal(seen.headers.get('content-length'), String(Buffer.byteLength(seen.text)));
  assert.deepEqual(JSON.parse(seen.text), ANSWER);
}

describe('a stream was asked', () => {
  const bodies = {
    'one JSON text': JSON_TEXT,
    'a pretty-printed text behind a mark and blank lines': `\uFEFF\n\r\n${JSON.stringify(ANSWER, null, 2)}\n\n`,
    events: EVENTS,
    'events behind a mark and blank lines': `\uFEFF\n\n${EVENTS}`,
  };
  for (const [name, bytes] of Object.entries(bodies)) {
    for (const type of TYPES) {
      it(`and ${name} came as ${type ?? 'nothing'}`, async (t) => {
        const world = await asked(t, body(bytes, type, { 'content-length': '17' }), chatStream());
        assertStream(await world.answerTo({ stream: true }), false);
        assertStream(await world.answerTo({ stream: true, stream_options: { include_usage: true } }), true);
        assert.deepEqual(world.eventsOf('finished')[0]!.usage, { inputTokens: 5, cachedInputTokens: 0, outputTokens: 3 });
      });
    }
  }
});

describe('a plain answer was asked', () => {
  for (const type of TYPES) {
    for (const [name, bytes] of Object.entries({ events: EVENTS, 'one JSON text': JSON_TEXT })) {
      it(`and ${name} came as ${type ?? 'nothing'}`, async (t) => {
        const world = await asked(t, body(bytes, type, { 'content-length': '17' }), chatResponse());
        assertPlain(await world.answerTo());
        assert.deepEqual(world.eventsOf('finished')[0]!.usage, { inputTokens: 5, cachedInputTokens: 0, outputTokens: 3 });
      });
    }
  }

  it('and events came one byte at a time, with comments between them', async (t) => {
    const steps = Array.from(EVENTS.replaceAll('\n\n', '\n\n: ping\n\n'), (byte) => ({ do: 'send', bytes: byte }) as const);
    const head = { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } } as const;
    const world = await asked(t, { steps: [head, ...steps] }, chatResponse());
    assertPlain(await world.answerTo());
  });

  it('and events came without their terminator', async (t) => {
    const world = await asked(t, body(BEGINNING + ENDING, 'text/event-stream'), chatResponse());
    assertPlain(await world.answerTo());
  });

  it('and an old completion came as events', async (t) => {
    const part = (text: string, finish: string | null) =>
      `data: ${JSON.stringify({ id: 'cmpl-1', object: 'text_completion', choices: [{ index: 0, text, finish_reason: finish }] })}\n\n`;
    const world = await asked(t, body(`${part('one ', null)}${part('two', 'stop')}data: [DONE]\n\n`, 'text/event-stream'), chatResponse());
    const asking = world.fetch('http://breakwater/v1/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'fast', prompt: 'x' }),
    });
    const response = await world.until(asking);
    const choice = { index: 0, text: 'one two', logprobs: null, finish_reason: 'stop' };
    assert.deepEqual(await world.until(response.json()), { id: 'cmpl-1', object: 'text_completion', choices: [choice] });
  });

  it('and the events are compressed', async (t) => {
    const world = await asked(t, body(gzipSync(EVENTS), 'text/event-stream', { 'content-encoding': 'gzip' }), chatResponse());
    const { done } = world.ask();
    await new Promise((resolve) => setTimeout(resolve, 50)); // the decoder works in threads of its own
    assertPlain(await world.until(done));
  });
});

describe('what is neither is a failure, and another target answers', () => {
  const cases: { name: string; bytes: string; type?: string; kind: string; asks?: ('plain' | 'stream')[] }[] = [
    { name: 'garbage behind a JSON text', bytes: `${JSON_TEXT}}garbage`, kind: 'malformed' },
    { name: 'two JSON texts', bytes: `${JSON_TEXT}\n${JSON_TEXT}`, kind: 'malformed' },
    { name: 'half a JSON text', bytes: JSON_TEXT.slice(0, 200), kind: 'malformed' },
    { name: 'a page under the name of JSON', bytes: '<html><body>Welcome</body></html>', kind: 'malformed' },
    { name: 'a page under the name of events', bytes: '\n<!doctype html>', type: 'text/event-stream', kind: 'malformed' },
    { name: 'a page', bytes: '<html></html>', type: 'text/html', kind: 'malformed' },
    { name: 'words', bytes: 'Internal error', type: 'text/plain', kind: 'malformed' },
    { name: 'an error in JSON', bytes: '{"error":{"message":"no","code":"server_error"}}', kind: 'error' },
    { name: 'an error in JSON under the name of events', bytes: '{"error":{"message":"no"}}', type: 'text/event-stream', kind: 'error' },
    { name: 'an error among the events', bytes: `${BEGINNING}data: {"error":{"message":"no"}}\n\n`, kind: 'error', asks: ['plain'] },
    { name: 'events that end too early', bytes: delta(0, { content: 'one' }), kind: 'cut', asks: ['plain'] },
    { name: 'events that end within a tool call', bytes: `${BEGINNING}data: [DONE]\n\n`, kind: 'cut', asks: ['plain'] },
    { name: 'an event that is no JSON', bytes: `${BEGINNING}data: {"id"\n\n${ENDING}`, kind: 'malformed', asks: ['plain'] },
    { name: 'blanks without end', bytes: ' '.repeat(5_000_000), kind: 'malformed' },
    {
      name: 'events before the content without end',
      bytes: delta(0, { role: 'assistant' }).repeat(40_000),
      kind: 'malformed',
      asks: ['stream'],
    },
    { name: 'events without content', bytes: `${delta(0, {}, 'stop')}data: [DONE]\n\n`, kind: 'empty' },
    {
      name: 'more than 16 MB of events',
      bytes: delta(0, { content: 'x'.repeat(1_000_000) }).repeat(17),
      kind: 'malformed',
      asks: ['plain'],
    },
  ];
  for (const { name, bytes, type = 'application/json', kind, asks = ['plain', 'stream'] } of cases) {
    for (const form of asks) {
      it(`${name}, ${form}`, async (t) => {
        const world = await asked(t, body(bytes, type), form === 'stream' ? chatStream() : chatResponse());
        const seen = await world.answerTo({ stream: form === 'stream' });
        assert.equal(seen.status, 200);
        assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
        assert.equal(contentOf(seen.text), 'one two three');
        assert.equal(world.eventsOf('attempt_end')[0]!.failure, kind);
      });
    }
  }
});

describe('a provider that never comes to its end', () => {
  const send = (bytes: string) => ({ do: 'send', bytes }) as const;
  const head = (status: number) => ({ do: 'head', status, headers: { 'content-type': 'application/json' } }) as const;
  const second = { do: 'wait', ms: 1000 } as const;

  it('is told from one that answers: blanks within a plain answer are no content', async (t) => {
    const blanks = Array.from({ length: 600 }, () => [second, send('\n')] as const).flat();
    const world = await asked(
      t,
      { steps: [head(200), send(JSON_TEXT.slice(0, 50)), ...blanks, send(JSON_TEXT.slice(50))] },
      chatResponse(),
    );
    const seen = await world.answerTo();
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
    assert.equal(world.eventsOf('attempt_end')[0]!.failure, 'timeout');
  });

  it('is not listened to for more than 1 MB of an error', async (t) => {
    const words = send('x'.repeat(300_000));
    const world = await asked(t, { steps: [head(500), ...Array.from({ length: 1000 }, () => words)] }, chatResponse());
    const seen = await world.answerTo();
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
    assert.equal(world.upstream.aborted, 1);
  });
});
