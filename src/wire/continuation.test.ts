import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CODECS } from './codecs.ts';
import { encodeContinuation } from './continuation-request.ts';
import { decodeRequest } from './decode-request.ts';
import { CONTINUABLE_CHARS_MAX, DeliveredStream } from './delivered-stream.ts';
import { DIALECTS } from './dialects.ts';
import type { DialectName, ModelEvent } from './model.ts';

const OPTIONS = { id: 'r', model: 'm', createdAt: 9, includeUsage: true, tools: [], echo: {} };
const event = (chunk: object) => Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`);
const says = (delta: object, more: object = {}) => event({ id: 'c1', model: 'm', created: 7, choices: [{ index: 0, delta, ...more }] });

function delivered(...chunks: Buffer[]): DeliveredStream {
  const stream = new DeliveredStream('openai-chat', OPTIONS);
  for (const chunk of chunks) stream.read([chunk]);
  return stream;
}

describe('the text delivered to a caller', () => {
  it('is the text of the chunks, whatever is between them', () => {
    const stream = delivered(
      says({ role: 'assistant', content: '' }),
      Buffer.from(': a comment\n\n'),
      says({ content: 'Über ' }),
      says({ reasoning_content: 'hm' }),
      Buffer.concat([says({ content: '日本' }), says({ content: '🌊' })]),
      event({ choices: [], usage: { prompt_tokens: 1 } }),
    );
    assert.equal(stream.text, 'Über 日本🌊');
    assert.equal(stream.deltas, 4);
  });

  for (const [what, chunk] of [
    ['a tool call began', says({ tool_calls: [{ index: 0, id: 'x', function: { name: 'f', arguments: '' } }] })],
    ['it is a refusal', says({ refusal: 'No' })],
    ['it is finished', says({}, { finish_reason: 'stop' })],
    ['there is a second choice', event({ choices: [{ index: 1, delta: { content: 'b' } }] })],
    ['it is longer than the limit', says({ content: 'x'.repeat(CONTINUABLE_CHARS_MAX) })],
  ] as const) {
    it(`can't be continued if ${what}`, () => {
      assert.equal(delivered(says({ content: 'so far' }), chunk, says({ content: ' and on' })).text, '');
    });
  }
});

const STREAM: readonly ModelEvent[] = [
  { type: 'start', id: 'x1', model: 'm' },
  { type: 'part_start', choice: 0, part: 0, head: { type: 'reasoning' } },
  { type: 'delta', choice: 0, part: 0, text: 'hm' },
  { type: 'part_end', choice: 0, part: 0, opaque: null },
  { type: 'part_start', choice: 0, part: 1, head: { type: 'text' } },
  { type: 'delta', choice: 0, part: 1, text: 'so far' },
];
const REST: readonly ModelEvent[] = [
  { type: 'delta', choice: 0, part: 1, text: ' and on' },
  { type: 'part_end', choice: 0, part: 1, opaque: null },
  { type: 'finish', choice: 0, reason: 'stop', raw: 'stop', stopSequence: null },
  { type: 'end' },
];

describe('a continued stream', () => {
  for (const name of ['openai-chat', 'anthropic-messages', 'gemini'] as const) {
    it(`of ${name} equals a stream that was not interrupted`, () => {
      const whole = CODECS[name].createWriter(OPTIONS);
      const [begin, rest] = [STREAM, REST].map((events) => events.map((one) => whole.write(one)).join(''));
      const stream = new DeliveredStream(name, { ...OPTIONS, id: 'other' });
      for (const byte of Buffer.from(begin!)) stream.read([Buffer.of(byte)]);
      assert.equal(stream.text, 'so far');
      const writer = stream.resume();
      assert.equal(REST.map((one) => writer.write({ ...one, ...('part' in one && { part: stream.openPart! }) })).join(''), rest);
    });
  }
});

describe('the request for a continuation', () => {
  function encode(dialect: DialectName, body: string, text = 'So "far"', spent = 5): string | null {
    const decoded = decodeRequest(DIALECTS[dialect], 'chat', Buffer.from(body), { model: 'm', stream: true });
    assert.ok(decoded.ok);
    const encoded = encodeContinuation(dialect, decoded.body, decoded.facts.model, text, spent);
    if (encoded === null) return null;
    for (const { keyStart, end } of encoded.members) assert.ok(keyStart >= 0 && end <= encoded.bytes.length);
    return Buffer.from(encoded.bytes).toString();
  }

  it('is the same request with the text as its last message, byte for byte', () => {
    assert.equal(
      encode('openai-chat', '{ "messages" : [ {"role":"user","content":"a ] b"} ] , "model":"m", "seed": 1.0e2}'),
      '{ "messages" : [ {"role":"user","content":"a ] b"} ,{"role":"assistant","content":"So \\"far\\""}] , "model":"m", "seed": 1.0e2}',
    );
    assert.equal(
      encode('gemini', '{"contents":[{"role":"user","parts":[{"text":"a"}]}]}', 'b'),
      '{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"b"}]}]}',
    );
  });

  it('has the rest of the output limits', () => {
    const user = '{"role":"user","content":"a"}';
    const both = encode('openai-chat', `{"model":"m","max_tokens":20,"messages":[${user}],"max_completion_tokens":6}`, 'b');
    assert.equal(both, `{"model":"m","max_tokens":15,"messages":[${user},{"role":"assistant","content":"b"}],"max_completion_tokens":1}`);
    const message = encode('anthropic-messages', `{"model":"m","max_tokens":20,"messages":[${user}]}`, 'b');
    assert.match(message!, /"max_tokens":15/);
    const gemini = encode('gemini', '{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"maxOutputTokens":9,"topK":1}}', 'b');
    assert.match(gemini!, /"generationConfig":\{"maxOutputTokens":4,"topK":1\}/);
  });

  for (const [why, dialect, body] of [
    ['nothing is left of a limit', 'openai-chat', '{"model":"m","messages":[{"role":"user"}],"max_tokens":5}'],
    ['nothing is left of a nested limit', 'gemini', '{"contents":[{"role":"user"}],"generationConfig":{"maxOutputTokens":5}}'],
    ['the caller began the response itself', 'openai-chat', '{"model":"m","messages":[{"role":"assistant","content":"a"}]}'],
    ['the caller began it in Gemini', 'gemini', '{"contents":[{"role":"model","parts":[{"text":"a"}]}]}'],
    ['there is no message', 'openai-chat', '{"model":"m","messages":[]}'],
    ['the dialect has no partial responses', 'openai-responses', '{"model":"m","input":[{"role":"user","content":"a"}]}'],
  ] as const) {
    it(`does not exist if ${why}`, () => assert.equal(encode(dialect, body), null));
  }
});
