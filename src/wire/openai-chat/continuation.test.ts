import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeChunk } from './continuation-chunk.ts';
import { encodeContinuation } from './continuation-request.ts';
import { CONTINUABLE_CHARS_MAX, DeliveredText } from './continuation-text.ts';
import { decodeRequest } from '../decode-request.ts';
import { openaiChat } from './dialect.ts';

const event = (chunk: object) => Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`);
const says = (delta: object, more: object = {}) => event({ id: 'c1', model: 'm', created: 7, choices: [{ index: 0, delta, ...more }] });

function delivered(...pieces: Buffer[]): DeliveredText {
  const text = new DeliveredText();
  for (const piece of pieces) text.read([piece]);
  return text;
}

describe('the text that went to a caller', () => {
  it('is what its chunks say, whatever stands between them', () => {
    const text = delivered(
      says({ role: 'assistant', content: '' }),
      Buffer.from(': a comment\n\n'),
      says({ content: 'Über ' }),
      says({ reasoning_content: 'hm' }),
      Buffer.concat([says({ content: '日本' }), says({ content: '🌊' })]),
      event({ choices: [], usage: { prompt_tokens: 1 } }),
    );
    assert.equal(text.text, 'Über 日本🌊');
    assert.deepEqual(text.head, { id: 'c1', created: 7, model: 'm' });
    assert.equal(text.contentEvents, 4);
  });

  for (const [what, piece] of [
    ['a tool call began', says({ tool_calls: [{ index: 0, id: 'x', function: { name: 'f', arguments: '' } }] })],
    ['it is a refusal', says({ refusal: 'No' })],
    ['it is finished', says({}, { finish_reason: 'stop' })],
    ['there is a second choice', event({ choices: [{ index: 1, delta: { content: 'b' } }] })],
    ['it has parts in place of text', says({ content: [{ type: 'text', text: 'a' }] })],
    ['it is longer than the limit', says({ content: 'x'.repeat(CONTINUABLE_CHARS_MAX) })],
  ] as const) {
    it(`can't be continued where ${what}`, () => {
      assert.equal(delivered(says({ content: 'so far' }), piece, says({ content: ' and on' })).text, '');
    });
  }
});

describe('a chunk of another stream', () => {
  const head = { id: 'c1', created: 7, model: 'm' };
  const other = {
    id: 'c2',
    created: 9,
    model: 'n',
    choices: [{ index: 0, delta: { role: 'assistant', content: 'ab cd' }, logprobs: { content: [] } }],
    x: 1,
  };

  it('gets the head of this one, and no role', () => {
    const value: unknown = JSON.parse(Buffer.from(encodeChunk(other, head)).toString().slice(6));
    assert.deepEqual(value, { ...head, choices: [{ index: 0, delta: { content: 'ab cd' }, logprobs: { content: [] } }], x: 1 });
  });

  it('loses the beginning that went out before', () => {
    const value: unknown = JSON.parse(
      Buffer.from(encodeChunk(other, head, 3))
        .toString()
        .slice(6),
    );
    assert.deepEqual(value, { ...head, choices: [{ index: 0, delta: { content: 'cd' }, logprobs: null }], x: 1 });
  });
});

describe('the request that asks to go on', () => {
  function encode(body: string, text = 'So "far"', spent = 5): string | null {
    const decoded = decodeRequest(openaiChat, 'chat', Buffer.from(body));
    assert.ok(decoded.ok);
    const encoded = encodeContinuation(decoded.body, decoded.facts.model, text, spent);
    if (encoded === null) return null;
    for (const { keyStart, end } of encoded.members) assert.ok(keyStart >= 0 && end <= encoded.bytes.length);
    return Buffer.from(encoded.bytes).toString();
  }

  it('is the same with the text as its last message, byte for byte', () => {
    assert.equal(
      encode('{ "messages" : [ {"role":"user","content":"a ] b"} ] , "model":"m", "seed": 1.0e2}'),
      '{ "messages" : [ {"role":"user","content":"a ] b"} ,{"role":"assistant","content":"So \\"far\\""}] , "model":"m", "seed": 1.0e2}',
    );
  });

  it('has what is left of the token bounds', () => {
    assert.equal(
      encode('{"model":"m","max_tokens":20,"messages":[{"role":"user","content":"a"}],"max_completion_tokens":6}', 'b'),
      '{"model":"m","max_tokens":15,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"max_completion_tokens":1}',
    );
  });

  for (const [why, body] of [
    ['nothing is left of a bound', '{"model":"m","messages":[{"role":"user"}],"max_tokens":5}'],
    ['several choices are asked for', '{"model":"m","messages":[{"role":"user"}],"n":2}'],
    ['the caller began the answer itself', '{"model":"m","messages":[{"role":"assistant","content":"a"}]}'],
    ['there is no message', '{"model":"m","messages":[]}'],
  ] as const) {
    it(`is none where ${why}`, () => assert.equal(encode(body), null));
  }
});
