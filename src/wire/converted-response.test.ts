import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { ResponseConversion } from './conversion.ts';
import type { ReadResponse, StreamPush } from './dialect.ts';
import { DIALECTS } from './dialects.ts';
import type { DialectName } from './model.ts';

const OPTIONS = { id: 'r1', model: 'm', createdAt: 1, includeUsage: false, tools: [], echo: {} };

function readWhole(from: DialectName, to: DialectName, body: object): ReadResponse {
  return new ResponseConversion(DIALECTS[from], DIALECTS[to], OPTIONS).read(Buffer.from(JSON.stringify(body)), 1);
}

function readStream(from: DialectName, to: DialectName, events: readonly object[]): StreamPush {
  const reader = new ResponseConversion(DIALECTS[from], DIALECTS[to], OPTIONS).createReader(1_000_000)!;
  const push = reader.push(Buffer.from(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')));
  if (push.done || push.failure !== null) return push;
  const last = reader.end();
  return { ...last, pieces: [...push.pieces, ...last.pieces], hasContent: push.hasContent || last.hasContent };
}

test('the empty object is a valid structured output of a model that responds through a tool', () => {
  const block = (input: object): object => ({ type: 'tool_use', id: 'toolu_1', name: 'respond_in_format', input });
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', usage: {} };
  for (const to of ['openai-chat', 'openai-responses', 'gemini'] as const) {
    const whole = readWhole('anthropic-messages', to, { ...message, content: [block({})], stop_reason: 'tool_use' });
    assert.ok(whole.ok && whole.facts.hasContent, to);
    assert.match(Buffer.from(whole.converted!).toString(), /"(content|text)":"\{\}"/);
    for (const deltas of [[], [''], ['{', '}']]) {
      const push = readStream('anthropic-messages', to, [
        { type: 'message_start', message: { ...message, content: [] } },
        { type: 'content_block_start', index: 0, content_block: block({}) },
        ...deltas.map((json) => ({ type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: json } })),
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: 'tool_use' } },
        { type: 'message_stop' },
      ]);
      assert.deepEqual([push.done, push.hasContent, push.failure], [true, true, null]);
    }
  }
});

test('a response of images alone is empty for a dialect without a place for them, streamed or not', () => {
  const image = { inlineData: { mimeType: 'image/png', data: 'iVBORw0KGgo=' } };
  const response = { candidates: [{ index: 0, content: { role: 'model', parts: [image] }, finishReason: 'STOP' }] };
  const place: Readonly<Record<string, boolean>> = { 'openai-chat': true, 'openai-responses': true, 'anthropic-messages': false };
  for (const [to, hasPlace] of Object.entries(place)) {
    const whole = readWhole('gemini', to as DialectName, response);
    const stream = readStream('gemini', to as DialectName, [response]);
    const failures = [whole.ok ? null : whole.failure.kind, stream.failure?.kind ?? null];
    assert.deepEqual(failures, hasPlace ? [null, null] : ['empty', 'empty'], to);
    if (!whole.ok) assert.equal(whole.failure.body, null, 'it is not returned as a last resort');
  }
});

test('text and calls of Gemini keep their order, streamed or not', () => {
  const chunk = (parts: readonly object[], more: object = {}): object => ({
    candidates: [{ index: 0, content: { role: 'model', parts }, ...more }],
  });
  const parts = [{ text: 'a' }, { functionCall: { name: 'f', args: { x: 1 } } }, { text: 'b' }, { functionCall: { name: 'g', args: {} } }];
  const whole = readWhole('gemini', 'anthropic-messages', chunk(parts, { finishReason: 'STOP' }));
  assert.ok(whole.ok);
  const message = JSON.parse(Buffer.from(whole.converted!).toString()) as { content: Record<string, unknown>[]; stop_reason: string };
  assert.deepEqual([...message.content.map(({ text, name }) => text ?? name), message.stop_reason], ['a', 'f', 'b', 'g', 'tool_use']);
  const push = readStream('gemini', 'anthropic-messages', [...parts.map((part) => chunk([part])), chunk([], { finishReason: 'STOP' })]);
  const events = Buffer.concat(push.pieces).toString();
  assert.deepEqual([...events.matchAll(/"(?:name|text)":"(\w)"/g)].map(([, found]) => found), ['a', 'f', 'b', 'g']); // prettier-ignore
});

test('a folded message has every block, though two have the same index', () => {
  const event = (value: { type: string }): string => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;
  const block = (text: string): object[] => [
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
    { type: 'content_block_stop', index: 0 },
  ];
  const events = [...block('a'), ...block('b')].map((value) => event(value as { type: string })).join('');
  const folded = JSON.parse(Buffer.from(DIALECTS['anthropic-messages'].response.fromStream(Buffer.from(events))).toString()) as object;
  assert.deepEqual((folded as { content: object[] }).content, [{ type: 'text', text: 'a' }, { type: 'text', text: 'b' }]); // prettier-ignore
});
