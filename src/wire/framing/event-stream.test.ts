/** The framing of AWS event streams, tested with messages written by AWS's own codec. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStreamCodec } from '@smithy/core/event-streams';
import fc from 'fast-check';
import type { StreamPush } from '../dialect.ts';
import { createMessagesStreamReader } from '../anthropic-messages/stream-reader.ts';
import { EventStreamFraming } from './event-stream.ts';
import { framed } from './framed-reader.ts';

type Message = Parameters<EventStreamCodec['encode']>[0];
type Headers = Message['headers'];

const TYPE = 'application/vnd.amazon.eventstream';
const EVENT_MAX = 1024 * 1024;
const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString(),
  (text) => Buffer.from(text),
);

const text = (value: string) => ({ type: 'string', value }) as const;

function message(headers: Headers, body: string | Uint8Array): Buffer {
  return Buffer.from(codec.encode({ headers, body: typeof body === 'string' ? Buffer.from(body) : body }));
}

const named = (kind: string, name: string): Headers => ({
  [`:${kind}-type`]: text(name),
  ':content-type': text('application/json'),
  ':message-type': text(kind),
});

function chunk(event: object): Buffer {
  const bytes = Buffer.from(JSON.stringify(event)).toString('base64');
  return message(named('event', 'chunk'), JSON.stringify({ bytes, p: 'abcdefgh' }));
}

const EVENTS = [
  {
    type: 'message_start',
    message: { id: 'msg_1', model: 'claude', role: 'assistant', content: [], usage: { input_tokens: 3, output_tokens: 1 } },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'größer 港口 🌊' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } },
  { type: 'message_stop', 'amazon-bedrock-invocationMetrics': { inputTokenCount: 3 } },
];
const STREAM = Buffer.concat(EVENTS.map(chunk));
const SSE = EVENTS.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');

interface Read {
  readonly text: string;
  readonly last: StreamPush;
}

/** The result of the chunks, and of the end of the upstream after them. */
function read(chunks: readonly Uint8Array[], eventMax = EVENT_MAX): Read {
  const reader = framed(TYPE, createMessagesStreamReader({ maxEventSize: eventMax }), eventMax);
  let got = '';
  const take = (push: StreamPush): StreamPush => {
    got += Buffer.concat(push.pieces).toString();
    return push;
  };
  for (const one of chunks) {
    const push = take(reader.push(one));
    if (push.done || push.failure !== null) return { text: got, last: push };
  }
  return { text: got, last: take(reader.end()) };
}

test('a stream of chunks becomes the events of the model, in any chunking', () => {
  const whole = read([STREAM]);
  assert.deepEqual([whole.text, whole.last.done, whole.last.failure], [SSE, true, null]);
  for (let at = 1; at < STREAM.length; at++) {
    const { text: got, last } = read([STREAM.subarray(0, at), STREAM.subarray(at)]);
    assert.ok(got === SSE && last.done, `split at ${at}`);
  }
  const single = read(Array.from(STREAM, (_, at) => STREAM.subarray(at, at + 1)));
  assert.deepEqual([single.text, single.last.done], [SSE, true]);
});

test('a stream that is cut at any byte is never a complete response', () => {
  const end = STREAM.length - chunk(EVENTS.at(-1)!).length - chunk(EVENTS.at(-2)!).length;
  for (let at = 0; at < end; at++) {
    const { last } = read([STREAM.subarray(0, at)]);
    assert.equal(last.done, false, `cut at ${at}`);
    assert.match(last.failure!.kind, /^(cut|empty)$/, `cut at ${at}`);
  }
});

test('one wrong byte anywhere is a failure, and nothing of its message is passed on', () => {
  const first = chunk(EVENTS[0]!);
  const rest = STREAM.subarray(first.length);
  const whole = SSE.slice(0, SSE.indexOf('\n\n') + 2);
  for (let at = 0; at < first.length; at++) {
    const damaged = Buffer.from(first);
    damaged[at]! ^= 0x55;
    const { text: got, last } = read([damaged, rest]);
    assert.deepEqual([got, last.done, last.failure?.kind], ['', false, 'malformed'], `byte ${at}`);
  }
  for (const at of [chunk(EVENTS[0]!).length + 20, chunk(EVENTS[0]!).length + 90]) {
    const damaged = Buffer.from(STREAM);
    damaged[at]! ^= 1;
    assert.deepEqual([read([damaged]).text, read([damaged]).last.failure?.kind], [whole, 'malformed']);
  }
});

test('exceptions and errors are failures with their names, statuses and messages', () => {
  const content = STREAM.subarray(
    0,
    EVENTS.slice(0, 3).reduce((bytes, event) => bytes + chunk(event).length, 0),
  );
  const before = EVENTS.slice(0, 3)
    .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join('');
  const cases: readonly (readonly [Buffer, string, number | null, string])[] = [
    [
      message(named('exception', 'throttlingException'), '{"message":"Too many requests"}'),
      'throttlingException',
      null,
      'Too many requests',
    ],
    [
      message(named('exception', 'modelStreamErrorException'), '{"message":"failed","originalStatusCode":529}'),
      'modelStreamErrorException',
      529,
      'failed',
    ],
    [message(named('exception', 'internalServerException'), ''), 'internalServerException', null, 'internalServerException'],
    [
      message({ ':message-type': text('error'), ':error-code': text('503'), ':error-message': text('Gone away') }, ''),
      '503',
      null,
      'Gone away',
    ],
  ];
  for (const [bytes, code, status, words] of cases) {
    for (const chunks of [[content, bytes, STREAM], [Buffer.concat([content, bytes, STREAM])]]) {
      const { text: got, last } = read(chunks);
      assert.deepEqual([got, last.done], [before, false], code);
      assert.deepEqual([last.failure?.kind, last.failure?.code, last.failure?.message], ['error', code, words]);
      if (status !== null) assert.equal(last.failure?.status, status);
    }
  }
});

test('an event of another operation keeps its name and payload', () => {
  const framing = new EventStreamFraming(EVENT_MAX);
  const { events, failure } = framing.push(message(named('event', 'contentBlockDelta'), '{"delta":\n{"text":"a"}}'));
  assert.deepEqual([String(events), failure], ['event: contentBlockDelta\ndata: {"delta": {"text":"a"}}\n\n', null]);
  assert.deepEqual(framing.push(message(named('event', 'initial-response'), '{}')), { events: null, failure: null });
});

test('headers of every type are skipped', () => {
  const value = fc.oneof(
    fc.boolean().map((one) => ({ type: 'boolean', value: one }) as const),
    fc.integer({ min: -128, max: 127 }).map((one) => ({ type: 'byte', value: one }) as const),
    fc.integer({ min: -32768, max: 32767 }).map((one) => ({ type: 'short', value: one }) as const),
    fc.integer().map((one) => ({ type: 'integer', value: one }) as const),
    fc.uint8Array({ maxLength: 300 }).map((one) => ({ type: 'binary', value: one }) as const),
    fc.string({ maxLength: 300 }).map(text),
    fc.date({ min: new Date(0), noInvalidDate: true }).map((one) => ({ type: 'timestamp', value: one }) as const),
    fc.uuid().map((one) => ({ type: 'uuid', value: one }) as const),
  );
  const names = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 40 }).map((name) => `x-${name}`);
  const property = fc.property(fc.dictionary(names, value), fc.json(), (more, body) => {
    const { events, failure } = new EventStreamFraming(EVENT_MAX).push(message({ ...more, ...named('event', 'e') }, body));
    assert.deepEqual([String(events), failure], [`event: e\ndata: ${body}\n\n`, null]);
  });
  fc.assert(property, { numRuns: 300 });
});

test('invalid messages, chunks without an event, and messages beyond the limit are malformed', () => {
  const kindOf = (bytes: Uint8Array, eventMax = EVENT_MAX): string | undefined => read([bytes], eventMax).last.failure?.kind;
  assert.equal(kindOf(Buffer.from('data: {"type":"message_start"}\n\n')), 'malformed');
  assert.equal(kindOf(message(named('event', 'chunk'), '{"p":"a"}')), 'malformed');
  assert.equal(kindOf(message(named('event', 'chunk'), 'no json')), 'malformed');
  assert.equal(kindOf(message({ ':message-type': text('other') }, '{}')), 'malformed');
  assert.equal(kindOf(message({}, '{}')), 'malformed');
  assert.equal(kindOf(chunk({ type: 'ping', filler: 'x'.repeat(2000) }), 1000), 'malformed');
  assert.equal(read([Buffer.from([0, 0, 0, 1])]).last.failure?.kind, 'empty');
});

test('bytes after the end are not read', () => {
  const { text: got, last } = read([Buffer.concat([STREAM, Buffer.from('anything')])]);
  assert.deepEqual([got, last.done, last.failure], [SSE, true, null]);
});

test('a chunk that is not base64 is malformed, and never skipped', () => {
  for (const bytes of ['!!!', '', 'eyJ0e*B9', 'eyJ0e', '=']) {
    const broken = message(named('event', 'chunk'), JSON.stringify({ bytes }));
    const { last } = read([Buffer.concat([...EVENTS.slice(0, 3).map(chunk), broken, ...EVENTS.slice(3).map(chunk)])]);
    assert.deepEqual([last.done, last.failure?.kind], [false, 'malformed'], bytes);
  }
});
