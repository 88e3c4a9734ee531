import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ResponseFacts, Failure } from '../../core/facts.ts';
import { createChatStreamReader } from './stream-reader.ts';
import type { StreamPush } from '../dialect.ts';

interface Outcome {
  readonly bytes: Buffer;
  readonly text: string;
  readonly facts: ResponseFacts;
  readonly done: boolean;
  readonly failure: Failure | null;
}

/** The stream in chunks of these sizes, repeated; without sizes, in one chunk. */
function read(stream: string | Uint8Array, sizes: readonly number[] = []): Outcome {
  const input = Buffer.from(stream);
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 1_000_000 });
  const pushes: StreamPush[] = [];
  for (let from = 0, i = 0; from < input.length; i++) {
    const size = sizes.length === 0 ? input.length : (sizes[i % sizes.length] ?? 1);
    pushes.push(reader.push(input.subarray(from, from + size)));
    from += size;
  }
  pushes.push(reader.end());
  const bytes = Buffer.concat(pushes.flatMap(({ pieces }) => pieces));
  const failure = pushes.find((push) => push.failure !== null)?.failure ?? null;
  return { bytes, text: bytes.toString(), facts: reader.facts, done: pushes.some(({ done }) => done), failure };
}

const event = (value: unknown): string => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const chunk = (delta: unknown, finish: string | null = null, more: object = {}, index = 0): string =>
  event({ id: 'c', object: 'chat.completion.chunk', model: 'gpt', choices: [{ index, delta, finish_reason: finish }], ...more });

const ROLE = chunk({ role: 'assistant', content: '' });
const STOP = chunk({}, 'stop');
const DONE = 'data: [DONE]\n\n';
const words = (text: string): string => text.split(' ').map((word) => chunk({ content: word })).join(''); // prettier-ignore

test('blocks that are not events, but that official clients would take for events, are removed', () => {
  const blanks = [
    'data:\n\n',
    'data: \n\n',
    'data\n\n',
    'data:  \t \n\n',
    'event: ping\n\n',
    'event: ping\nid: 3\n\n',
    'event: ping\ndata:\n\n',
  ];
  for (const blank of blanks) {
    for (const newline of ['\n', '\r\n', '\r']) {
      for (const sizes of [[], [1], [3]]) {
        const stream = (ROLE + words('a') + blank + words('b') + STOP + DONE).replaceAll('\n', newline);
        assert.equal(read(stream, sizes).text, (ROLE + words('a b') + STOP + DONE).replaceAll('\n', newline), JSON.stringify(blank));
      }
    }
  }
  for (const kept of [': ping\n\n', '\n', 'id: 1\n\n', 'retry: 5\n\n', 'foo\n\n', 'event\n\n', 'event:\nid: 3\n\n']) {
    const stream = words('a') + kept + words('b') + STOP + DONE;
    assert.equal(read(stream).text, stream);
  }
});

test('a terminator that official clients would not recognize is replaced', () => {
  for (const odd of ['data:  [DONE]\n\n', 'data: [DONE] \n\n', 'data: [DONE]\ndata:\n\n', 'data: [DONE]!\n\n', 'data:\ndata: [DONE]\n\n']) {
    for (const sizes of [[], [1]]) {
      const outcome = read(words('a') + STOP + odd + words('late'), sizes);
      assert.equal(outcome.done, true);
      assert.equal(outcome.text, words('a') + STOP + DONE);
    }
    assert.equal(read(words('a') + STOP + odd.trimEnd()).text, words('a') + STOP + DONE);
  }
  for (const plain of [
    'data:[DONE]\n\n',
    'event: done\ndata: [DONE]\n\n',
    'id: 7\ndata: [DONE]\n\n',
    ': bye\ndata: [DONE]\n\n',
    'event: error\ndata: [DONE]\n\n',
  ]) {
    const outcome = read(words('a') + STOP + plain);
    assert.equal(outcome.done, true);
    assert.equal(outcome.text, words('a') + STOP + plain);
  }
});

test('[DONE] as the text of a response does not end the stream', () => {
  const stream = words('[DONE] data:[DONE]') + chunk({ content: '\n\ndata: [DONE]\n\n' }) + STOP + DONE;
  for (const sizes of [[], [1]]) assert.equal(read(stream, sizes).text, stream);
});

test('is done with the terminator, including its last line break', () => {
  for (const newline of ['\n', '\r\n', '\r']) {
    const stream = Buffer.from((words('a b') + STOP + DONE).replaceAll('\n', newline));
    const more = Buffer.from(`: more${newline}${newline}`);
    for (let cut = 1; cut <= stream.length; cut++) {
      const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 1000 });
      const pushes = [reader.push(stream.subarray(0, cut)), reader.push(stream.subarray(cut)), reader.push(more), reader.end()];
      assert.equal(Buffer.concat(pushes.flatMap((push) => push.pieces)).toString(), stream.toString());
      // Only a CR that may be half of the last line break is waited for.
      assert.equal(
        pushes.findIndex((push) => push.done),
        cut === stream.length ? 0 : 1,
      );
      assert.equal(pushes.filter((push) => push.done).length, 1);
    }
  }
});

test('an LF that never arrives is not waited for at the end, nor when other bytes arrive', () => {
  const stream = `${words('a') + STOP}data: [DONE]\r\n\r`;
  assert.deepEqual([read(stream).done, read(stream).text], [true, stream]);
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 1000 });
  assert.equal(reader.push(Buffer.from(stream)).done, false);
  const last = reader.push(Buffer.from('data: x'));
  assert.deepEqual([last.done, last.pieces.length], [true, 0]);
});

test('an error is found however it is wrapped', () => {
  const errors: [string, Partial<Failure>][] = [
    ['data: [{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED"}}]\n\n', { code: 'RESOURCE_EXHAUSTED', status: 429 }],
    [event(JSON.stringify(JSON.stringify({ error: { message: 'inner', code: 'c' } }))), { code: 'c', message: 'inner' }],
    [event({ error: {} }), {}],
    [event({ error: true }), {}],
    [event({ error: [{ message: 'in a list' }] }), { message: 'in a list' }],
    [event({ error: '{"message":"in a string","code":"x"}' }), { code: 'x', message: 'in a string' }],
    ['event: error\ndata:\n\n', {}],
    ['event:error\ndata:{"message":"flat","code":500}\n\n', { message: 'flat', status: 500 }],
    ['data: {"error":\ndata: {"message":"two lines"}}\n\n', { message: 'two lines' }],
    ['{"error":{"message":"no event at all","code":"bare"}}\n\n', { code: 'bare' }],
    ['{\n  "error": {\n    "message": "pretty"\n  }\n}\n\n', { message: 'pretty' }],
    [chunk({ content: 'x' }, null, { error: { message: 'beside content' } }), { message: 'beside content' }],
  ];
  for (const [text, expected] of errors) {
    for (const newline of ['\n', '\r\n', '\r']) {
      for (const sizes of [[], [1]]) {
        const outcome = read((words('a') + text + DONE).replaceAll('\n', newline), sizes);
        assert.equal(outcome.failure?.kind, 'error', text);
        assert.equal(outcome.text, words('a').replaceAll('\n', newline));
        for (const [key, value] of Object.entries(expected)) assert.equal(outcome.failure?.[key as keyof Failure], value, text);
      }
    }
    // The error is found even if the connection ends right after it, or within its blank line.
    for (const cutShort of [text.slice(0, -1), text.slice(0, -2)]) {
      assert.equal(read(words('a') + cutShort).failure?.kind, 'error', text);
    }
  }
  for (const fine of [{ error: null }, { error: '' }, { error: false }, { message: null }, { errors: [] }, { detail: null }]) {
    assert.equal(read(words('a') + event({ id: 'c', ...fine }) + STOP + DONE).done, true, JSON.stringify(fine));
  }
});

/** One event with its bytes on the wire, and whether they pass. */
const wireEvent = (kind: fc.Arbitrary<[string[], boolean]>): fc.Arbitrary<[string, boolean]> =>
  fc.tuple(kind, fc.array(newlineKind, { minLength: 4, maxLength: 4 })).map(([[fields, passes], ends]) => {
    let text = '';
    let end = '';
    for (const [i, field] of [...fields, ''].entries()) {
      // A CR before a lone LF would be one line break, not two.
      const next = ends[i % ends.length]!;
      end = field === '' && end === '\r' && next === '\n' ? '\r\n' : next;
      text += field + end;
    }
    return [text, passes];
  });
const newlineKind = fc.constantFrom('\n', '\n', '\r\n', '\r');
const chunkOf = (d: object, more: object = {}): string =>
  JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, delta: d, finish_reason: null }], ...more });
const anyText = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('\n', '"', '\\', '\u0000', '\ud800', '😀', '\r\n\r\n', 'data: [DONE]'),
);
const twoLines = anyText.map((content) => [`data: {"choices":`, `data:[{"index":0,"delta":${JSON.stringify({ content })}}]}`]);
const passing: fc.Arbitrary<string[]> = fc.oneof(
  { weight: 6, arbitrary: anyText.map((content) => [`data: ${chunkOf({ content })}`]) },
  { weight: 3, arbitrary: anyText.map((text) => [`data: ${chunkOf({ tool_calls: [{ index: 1, function: { arguments: text } }] })}`]) },
  anyText.map((content) => [`data:${chunkOf({ content }, { usage: null })}`, 'id: 9']),
  anyText.map((content) => ['event: chunk', `data:${chunkOf({ content })}`]),
  twoLines,
  fc.constantFrom(': ping', ':', 'retry: 3', 'unknown').map((text) => [text]),
);
const stripped = fc.constantFrom('data', 'data: ', 'event: ping', 'data: {"choices":[],"usage":{"prompt_tokens":1}}').map((text) => [text]);
const wireEvents = fc.array(
  wireEvent(
    fc.oneof(
      { weight: 9, arbitrary: passing.map((fields): [string[], boolean] => [fields, true]) },
      { weight: 2, arbitrary: stripped.map((fields): [string[], boolean] => [fields, false]) },
    ),
  ),
  { maxLength: 12 },
);
const ending = wireEvent(fc.constant<[string[], boolean]>([['data: [DONE]'], true]));
const finishing = wireEvent(
  fc.constant<[string[], boolean]>([['data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'], true]),
);

test('in any chunking exactly the bytes of the events that pass are returned', () => {
  fc.assert(
    fc.property(
      wireEvents,
      finishing,
      fc.option(ending, { nil: null }),
      fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 5 }),
      fc.boolean(),
      (list, finish, end, sizes, marked) => {
        const all = [...list, finish, ...(end === null ? [] : [end])];
        const text = all.map(([bytes]) => bytes).join('');
        // After lone CRs only, no LF is waited for.
        fc.pre(text.indexOf('\n') < text.length - 1);
        const stream = Buffer.from((marked ? '\ufeff' : '') + text);
        const outcome = read(stream, sizes);
        const expected = all.filter(([, passes]) => passes).map(([text]) => text).join('') + (end === null ? DONE : ''); // prettier-ignore
        assert.equal(outcome.text, expected);
        assert.equal(outcome.done, true);
      },
    ),
    { numRuns: 3000 },
  );
});

test('invalid UTF-8 is passed on unchanged, and the stream continues', () => {
  const bad = [[0xff], [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0x80], [0xfe, 0xff]];
  for (const bytes of bad) {
    const parts = [ROLE, 'data: {"choices":[{"index":0,"delta":{"content":"a', 'b"},"finish_reason":null}]}\n\n', words('c') + STOP + DONE];
    const stream = Buffer.concat([Buffer.from(parts[0]! + parts[1]!), Buffer.from(bytes), Buffer.from(parts[2]! + parts[3]!)]);
    for (const sizes of [[], [1], [2]]) {
      const outcome = read(stream, sizes);
      assert.deepEqual(outcome.bytes, stream);
      assert.equal(outcome.facts.finishReason, 'stop');
    }
  }
});

test('interleaved tool calls count as open until their choice has finished', () => {
  const call = (index: number, text: string, more: object = {}): string =>
    chunk({ tool_calls: [{ index, ...more, function: { arguments: text } }] });
  const start = call(0, '', { id: 'a', type: 'function' }) + call(1, '', { id: 'b', type: 'function' });
  const body = Array.from({ length: 30 }, (_, at) => call(at % 2, `{"k${at}":"`)).join('');
  for (const sizes of [[], [1], [97]]) {
    const whole = read(ROLE + start + body + chunk({}, 'tool_calls') + DONE, sizes);
    assert.deepEqual([whole.done, whole.facts.hasContent], [true, true]);
    const open = read(ROLE + start + body + DONE, sizes);
    assert.deepEqual([open.failure?.kind, open.text], ['cut', ROLE + start + body]);
  }
});
