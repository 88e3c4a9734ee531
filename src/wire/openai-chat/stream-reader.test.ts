import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ResponseFacts, Failure } from '../../core/facts.ts';
import { createChatStreamReader } from './stream-reader.ts';

interface Outcome {
  readonly text: string;
  readonly facts: ResponseFacts;
  readonly done: boolean;
  readonly failure: Failure | null;
  /** `hasContent` of each push that returned something. */
  readonly content: readonly boolean[];
}

interface Settings {
  readonly keepUsage?: boolean;
  readonly shortcut?: boolean;
  readonly sizes?: readonly number[];
  readonly maxEventSize?: number;
  readonly end?: boolean;
  readonly operation?: 'chat' | 'completions';
  readonly choices?: number;
}

function read(stream: string | Uint8Array, settings: Settings = {}): Outcome {
  const bytes = Buffer.from(stream);
  const { keepUsage = false, shortcut = true, sizes = [], maxEventSize = 1_000_000, operation = 'chat', choices = 1 } = settings;
  const reader = createChatStreamReader({ operation, choices, keepUsage, maxEventSize, shortcut });
  const pieces: Uint8Array[] = [];
  const content: boolean[] = [];
  let done = false;
  let failure: Failure | null = null;
  const take = (push: ReturnType<typeof reader.push>): void => {
    pieces.push(...push.pieces);
    if (push.pieces.length > 0) content.push(push.hasContent);
    assert.ok(!(done || failure) || (push.pieces.length === 0 && !push.done && push.failure === null), 'gave something after its end');
    done ||= push.done;
    failure ??= push.failure;
  };
  for (let from = 0, i = 0; from < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[i % sizes.length] ?? 1);
    take(reader.push(bytes.subarray(from, from + size)));
    from += size;
  }
  if (settings.end !== false) take(reader.end());
  return { text: Buffer.concat(pieces).toString(), facts: { ...reader.facts }, done, failure, content };
}

const event = (value: unknown): string => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const chunk = (delta: unknown, finish: string | null = null, more: object = {}, index = 0): string =>
  event({ id: 'c', object: 'chat.completion.chunk', model: 'gpt', choices: [{ index, delta, finish_reason: finish }], ...more });

const ROLE = chunk({ role: 'assistant', content: '' });
const STOP = chunk({}, 'stop');
const DONE = 'data: [DONE]\n\n';
const words = (text: string): string => text.split(' ').map((word) => chunk({ content: word })).join(''); // prettier-ignore

test('passes a valid complete stream as its own bytes', () => {
  const stream = ROLE + words('a bc def') + STOP + DONE;
  const bytes = Buffer.from(stream);
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 1000 });
  const push = reader.push(bytes);
  assert.equal(push.pieces.length, 1);
  assert.equal(push.pieces[0], bytes);
  assert.equal(push.done, true);
  assert.deepEqual(reader.facts, { model: 'gpt', usage: null, finishReason: 'stop', hasContent: true });
});

test('holds an event back until it is complete', () => {
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 1000 });
  const bytes = Buffer.from(words('a b'));
  const first = reader.push(bytes.subarray(0, bytes.length - 1));
  assert.equal(Buffer.concat(first.pieces).toString(), words('a'));
  assert.equal(Buffer.concat(reader.push(bytes.subarray(bytes.length - 1)).pieces).toString(), words('b'));
});

test('distinguishes content from heartbeats', () => {
  const live = [
    ROLE,
    ': ping\n\n',
    '\n',
    'data:\n\n',
    'data: \n\n',
    chunk({}),
    chunk({ content: null }),
    chunk({ tool_calls: [] }),
    chunk({ audio: { id: 'a' } }),
  ];
  live.push(event({ choices: [], prompt_filter_results: [] }), event({}), event({ choices: [{ index: 0, content_filter_results: {} }] }));
  for (const stream of live) assert.equal(read(stream, { end: false }).facts.hasContent, false, stream);
  const content = [
    { content: 'x' },
    { content: [{ type: 'text', text: 'x' }] },
    { refusal: 'no' },
    { reasoning_content: 'hm' },
    { content: null, reasoning: 'hm' },
    { tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '' } }] },
    { function_call: { name: 'f' } },
    { audio: { data: 'QQ==' } },
  ];
  for (const delta of content) assert.equal(read(chunk(delta), { end: false }).facts.hasContent, true, JSON.stringify(delta));
  assert.equal(
    read(event({ choices: [{ index: 0, text: 'x', finish_reason: null }] }), { operation: 'completions', end: false }).facts.hasContent,
    true,
  );
});

test('reports for each push whether it contains content', () => {
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 1000 });
  const seen = [ROLE, words('a'), ': ping\n\n', words('b')].map((text) => reader.push(Buffer.from(text)).hasContent);
  assert.deepEqual(seen, [false, true, false, true]);
});

const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15, prompt_tokens_details: { cached_tokens: 4 } };

test('removes the usage chunk unless the caller requested it, and reads it in every dialect', () => {
  const tail = event({ id: 'c', choices: [], usage });
  const stream = words('a') + STOP + tail + DONE;
  for (const sizes of [[], [1], [7, 90]]) {
    const stripped = read(stream, { sizes });
    assert.equal(stripped.text, words('a') + STOP + DONE);
    assert.deepEqual(stripped.facts.usage, { inputTokens: 10, cachedInputTokens: 4, outputTokens: 5 });
    assert.equal(read(stream, { sizes, keepUsage: true }).text, stream);
  }
  const inChoice = words('a') + chunk({}, 'stop', { usage: { prompt_tokens: 9, completion_tokens: 1, prompt_cache_hit_tokens: 8 } }) + DONE;
  assert.equal(read(inChoice).text, inChoice);
  assert.deepEqual(read(inChoice).facts.usage, { inputTokens: 9, cachedInputTokens: 8, outputTokens: 1 });
  const groq = words('a') + chunk({}, 'stop', { x_groq: { usage } }) + DONE;
  assert.equal(read(groq).facts.usage?.inputTokens, 10);
  const nulls = chunk({ content: 'a' }, null, { usage: null }) + STOP + DONE;
  assert.equal(read(nulls).text, nulls);
  assert.equal(read(event({ usage }), { end: false }).text, '');
});

test('ends at [DONE] and reads nothing after it', () => {
  const outcome = read(`${words('a') + STOP + DONE + event({ error: { message: 'late' } })}garbage`);
  assert.equal(outcome.text, words('a') + STOP + DONE);
  assert.equal(outcome.done, true);
  assert.equal(outcome.failure, null);
});

test('[DONE] without a finish reason is a success, but not inside a tool call', () => {
  assert.equal(read(words('a') + DONE).done, true);
  const call = chunk({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '{"a' } }] });
  const outcome = read(call + DONE);
  assert.equal(outcome.failure?.kind, 'cut');
  assert.equal(outcome.text, call);
  const rest = chunk({ tool_calls: [{ index: 0, function: { arguments: '":1}' } }] });
  const whole = read(call + rest + chunk({}, 'tool_calls') + DONE);
  assert.equal(whole.done, true);
});

test('an error in the stream is a failure, and its bytes are not passed on', () => {
  const errors: [string, Partial<Failure>][] = [
    [
      event({ error: { message: 'Overloaded', type: 't', code: 'busy' } }),
      { code: 'busy', type: 't', message: 'Overloaded', status: null },
    ],
    [
      event({ error: { code: 502, message: 'Bad' }, choices: [{ index: 0, delta: {}, finish_reason: 'error' }] }),
      { code: '502', status: 502 },
    ],
    [event({ error: 'words', code: 'c' }), { message: 'words', code: 'c' }],
    ['event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"m"}}\n\n', { type: 'overloaded_error' }],
    ['event: error\ndata: only words\n\n', { message: 'only words' }],
    [event({ object: 'error', message: 'flat', code: 400 }), { message: 'flat', status: 400 }],
    [event({ message: 'flat', type: 'too_many_requests_error', code: 'queue_exceeded' }), { code: 'queue_exceeded' }],
    [chunk({ content: '' }, 'error'), { code: 'error' }],
    [event({ error: { message: 'Please try again in 2s' } }), { retryAfterMs: 2000 }],
  ];
  for (const [text, expected] of errors) {
    for (const sizes of [[], [1]]) {
      const outcome = read(ROLE + words('a b c') + text + DONE, { sizes });
      assert.equal(outcome.text, ROLE + words('a b c'));
      assert.equal(outcome.done, false);
      assert.equal(outcome.failure?.kind, 'error');
      assert.equal(outcome.failure?.phase, 'answer');
      for (const [key, value] of Object.entries(expected)) assert.equal(outcome.failure?.[key as keyof Failure], value, text);
    }
    assert.equal(read(ROLE + text).failure?.phase, 'first_content');
  }
  assert.equal(read(chunk({ content: 'a' }, null, { error: null }) + STOP + DONE).done, true);
});

test('an error event with only [DONE] completes a response only if all choices have finished', () => {
  const odd = `event: error\n${DONE}`;
  const broken = read(ROLE + words('a b') + odd);
  assert.deepEqual([broken.text, broken.done, broken.failure?.kind], [ROLE + words('a b'), false, 'cut']);
  const whole = read(ROLE + words('a b') + STOP + odd);
  assert.deepEqual([whole.text, whole.done], [ROLE + words('a b') + STOP + odd, true]);
});

test('a malformed or too large event is a failure, never skipped', () => {
  for (const bad of ['data: {"choices":[\n\n', 'data: hello\n\n', 'data: 1\n\n', 'data: [1]\n\n', event({}).replace('{', '{ {')]) {
    const outcome = read(words('a') + bad + words('b') + STOP + DONE);
    assert.equal(outcome.failure?.kind, 'malformed', bad);
    assert.equal(outcome.text, words('a'));
  }
  for (const sizes of [[], [5]]) {
    const outcome = read(words('a') + words('x'.repeat(500)) + DONE, { maxEventSize: 400, sizes });
    assert.equal(outcome.failure?.kind, 'malformed');
    assert.equal(outcome.text, words('a'));
  }
});

test('an end without [DONE] is a success if every choice has finished, and then gets its terminator', () => {
  const whole = read(words('a') + STOP);
  assert.equal(whole.done, true);
  assert.equal(whole.text, words('a') + STOP + DONE);
  for (const last of [STOP.slice(0, -1), STOP.slice(0, -2)]) assert.equal(read(words('a') + last).text, words('a') + STOP + DONE);
  assert.equal(read(words('a') + STOP + DONE.slice(0, -2)).text, words('a') + STOP + DONE);
  assert.equal(read(`${words('a') + STOP.slice(0, -2)}\r`).text, `${words('a') + STOP.slice(0, -2)}\r\n\n${DONE}`);
});

test('a partial last event is not delivered', () => {
  const partial = 'data: {"choices":[],"usa';
  assert.equal(read(words('a') + STOP + partial).text, words('a') + STOP + DONE);
  assert.equal(read(words('a') + partial).failure?.kind, 'cut');
  assert.equal(read(words('a') + STOP + ': half a comm').text, words('a') + STOP + DONE);
});

test('an end before the response is complete is a cut, and one without any event is empty', () => {
  const cut = read(ROLE + words('a b'));
  assert.equal(cut.failure?.kind, 'cut');
  assert.equal(cut.text, ROLE + words('a b'));
  assert.equal(read(event({ choices: [] })).failure?.kind, 'cut');
  assert.equal(read('').failure?.kind, 'empty');
  assert.equal(read(': ping\n\n').failure?.kind, 'empty');
});

test('anything but events and comments is malformed, not empty', () => {
  for (const body of ['null', '<p>', 'upstream timed out\n', '\x1f\x8b\x08\x00garbage\n\nmore']) {
    assert.deepEqual([read(body).failure?.kind, read(body).failure?.phase], ['malformed', 'first_content'], body);
  }
  for (const body of ['', '\n\n', ': ping', 'retry: 10\n\nid', 'event: x\n']) assert.equal(read(body).failure?.kind, 'empty', body);
});

test('with several choices all must have finished', () => {
  const two = chunk({ content: 'a' }) + chunk({ content: 'b' }, null, {}, 1) + STOP;
  assert.equal(read(two).failure?.kind, 'cut');
  assert.equal(read(two + chunk({}, 'length', {}, 1)).done, true);
  // In sequence: when the first has ended, the second may not have begun.
  const first = chunk({ content: 'a' }) + STOP;
  assert.equal(read(first, { choices: 2 }).failure?.kind, 'cut');
  assert.equal(read(first + DONE, { choices: 2 }).done, true);
  assert.equal(read(first + chunk({ content: 'b' }, 'stop', {}, 1), { choices: 2 }).done, true);
});

test('every way to frame a stream gives the same facts', () => {
  const stream = ROLE + words('a b c') + STOP + DONE;
  const expected = read(stream).facts;
  for (const text of [
    stream.replaceAll('\n', '\r\n'),
    stream.replaceAll('\n', '\r'),
    stream.replaceAll('data: ', 'data:'),
    `\ufeff${stream}`,
  ]) {
    for (const sizes of [[], [1], [3]]) {
      const outcome = read(text, { sizes });
      assert.deepEqual(outcome.facts, expected);
      assert.equal(outcome.done, true);
      assert.equal(outcome.text, text.replace('\ufeff', ''));
    }
  }
});

const delta = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: 'grapheme' }).map((content) => ({ content })) },
  fc.constantFrom<object>(
    { role: 'assistant', content: '' },
    { content: null, reasoning_content: 'think' },
    { content: 'a', reasoning: 'b' },
    { content: 'content' },
    { content: '"content":"x"' },
    { content: 'a', obfuscation: 'inner' },
    { tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '' } }] },
    {},
  ),
);
const goodEvent = fc
  .tuple(
    delta,
    fc.constantFrom(null, null, null, null, 'stop'),
    fc.constantFrom<object>({}, {}, { obfuscation: 'aXb' }, { usage: null }, { model: 'other' }, { usage }),
    fc.constantFrom(0, 0, 0, 1),
  )
  .map(([d, finish, more, index]) => chunk(d, finish, more, index));
const textEvent = fc.string({ maxLength: 8 }).map((text) => event({ id: 'c', choices: [{ index: 0, text, finish_reason: null }] }));
const spaced = fc
  .string({ maxLength: 8 })
  .map((content) => `data: {"id": "c", "choices": [{"index": 0, "delta": {"content": ${JSON.stringify(content)}}}]}\n\n`);
const oddEvent = fc.constantFrom(
  ': ping\n\n',
  DONE,
  event({ error: { message: 'e' } }),
  event({ choices: [], usage }),
  'data: {"a":\n\n',
  'event: error\ndata: x\n\n',
  '\n',
  'event: x\n',
);
const streamText = fc
  .tuple(
    fc.array(
      fc.oneof({ weight: 12, arbitrary: goodEvent }, { weight: 3, arbitrary: textEvent }, { weight: 3, arbitrary: spaced }, oddEvent),
      { maxLength: 25 },
    ),
    fc.constantFrom('\n', '\n', '\r\n', '\r'),
    fc.boolean(),
  )
  .map(([events, newline, repeat]) => (repeat ? events.flatMap((e) => [e, e, e]) : events).join('').replaceAll('\n', newline));

test('the shortcut changes nothing, on good and on damaged streams', () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat({ max: 3 })), { maxLength: 3 });
  fc.assert(
    fc.property(
      streamText,
      damage,
      fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 4 }),
      fc.constantFrom(130, 100_000),
      (text, hits, sizes, maxEventSize) => {
        let bytes = Buffer.from(text);
        for (const [at, byte, kind] of hits) {
          const place = at % (bytes.length + 1);
          // Overwrite, insert, remove, or repeat a part.
          const middle = kind === 2 ? [] : kind === 3 ? bytes.subarray(place, place + 40) : [byte];
          bytes = Buffer.concat([
            bytes.subarray(0, place),
            Buffer.from(middle),
            bytes.subarray(place + (kind === 0 || kind === 2 ? 1 : 0)),
          ]);
        }
        const full = read(bytes, { sizes, maxEventSize, shortcut: false });
        assert.deepEqual(read(bytes, { sizes, maxEventSize, shortcut: true }), full);
        const whole = read(bytes, { maxEventSize, shortcut: true });
        assert.deepEqual([whole.facts, whole.done, whole.failure], [full.facts, full.done, full.failure]);
        assert.equal(whole.text, full.text);
      },
    ),
    { numRuns: 3000 },
  );
});

test('chunks without choices, usage or error never reach the caller', () => {
  const heartbeats = [
    '{"type":"ping"}',
    '{}',
    '{"choices":[]}',
    '{"choices":null,"usage":null}',
    '{"id":"x","object":"chat.completion.chunk"}',
  ];
  for (const beat of heartbeats) {
    const reader = createChatStreamReader({ operation: 'chat', keepUsage: true, maxEventSize: 1024 });
    const text = (chunk: string): string => Buffer.concat([...reader.push(Buffer.from(chunk)).pieces]).toString();
    assert.equal(text(`data: ${beat}\n\n`), '', beat);
    const content = 'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n';
    assert.equal(text(`event: ping\ndata: ${beat}\n\n${content}data: ${beat}\n\n`), content, beat);
    const usage = 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n';
    const filters = 'data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n';
    assert.equal(text(usage + filters), usage + filters);
  }
});
