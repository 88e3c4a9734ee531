/** What a stream reader counts as content, and as an end. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { createChatStreamReader } from './stream-reader.ts';

/** `size`: of the chunks, in bytes. */
function read(stream: string, { shortcut = true, size = Infinity } = {}) {
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 1_000_000, shortcut });
  const bytes = Buffer.from(stream);
  const pushes = [];
  for (let from = 0; from < bytes.length; from += size) pushes.push(reader.push(bytes.subarray(from, from + size)));
  pushes.push(reader.end());
  return {
    facts: reader.facts,
    estimatedOutputTokens: reader.estimatedOutputTokens,
    done: pushes.some((push) => push.done),
    failure: pushes.find((push) => push.failure !== null)?.failure ?? null,
    content: pushes.filter((push) => push.pieces.length > 0).map((push) => push.hasContent),
  };
}

const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const chunk = (delta: unknown, finish: string | null = null): string =>
  event({ id: 'c', object: 'chat.completion.chunk', model: 'gpt', choices: [{ index: 0, delta, finish_reason: finish }] });
const ROLE = chunk({ role: 'assistant', content: '' });
const STOP = chunk({}, 'stop');
const DONE = 'data: [DONE]\n\n';
const words = (text: string): string => text.split(' ').map((word) => chunk({ content: word })).join(''); // prettier-ignore

test('a stream that ends with a finish reason of a failure fails', () => {
  for (const finish of ['network_error', 'insufficient_system_resource', 'abort', 'time_out', 'InternalError']) {
    const found = read(ROLE + words('a b') + chunk({}, finish) + DONE);
    assert.deepEqual([found.failure?.kind, found.failure?.code, found.done], ['error', finish, false], finish);
  }
  for (const finish of [
    'stop',
    'length',
    'tool_calls',
    'content_filter',
    'eos_token',
    'end_turn',
    'max_tokens',
    'stop_sequence',
    'unknown',
  ])
    assert.equal(read(ROLE + words('a b') + chunk({}, finish) + DONE).done, true, finish);
});

test('everything in a delta except role, id, index and type is content', () => {
  for (const delta of [{ reasoning_text: 'hm' }, { thinking: 'hm' }, { x_steps: ['a'] }, { reasoning: { text: 'hm' } }])
    assert.equal(read(ROLE + chunk(delta)).facts.hasContent, true, JSON.stringify(delta));
  for (const delta of [{ id: 'd', index: 0, type: 'message', role: 'assistant' }, { reasoning_text: '' }, { x_steps: [] }, { extra: {} }])
    assert.equal(read(ROLE + chunk(delta)).facts.hasContent, false, JSON.stringify(delta));
});

test('white space is not content at the beginning, but is after other content', () => {
  for (const shortcut of [true, false]) {
    const blank = read(ROLE + words('\n \n\n') + STOP + DONE, { shortcut });
    assert.deepEqual([blank.facts.hasContent, blank.done], [false, true]);
    const begun = read(ROLE + chunk({ content: '\n' }) + chunk({ content: 'a' }) + chunk({ content: ' ' }), {
      shortcut,
      size: 90,
    });
    assert.equal(begun.facts.hasContent, true);
    assert.equal(begun.content.at(-1), true);
  }
});

test('output is estimated by events and text, whichever is more', () => {
  for (const shortcut of [true, false]) {
    assert.equal(read(ROLE + words('a b c d e f g h') + STOP + DONE, { shortcut }).estimatedOutputTokens, 8);
    const long = Array.from({ length: 5 }, (_, i) => chunk({ content: `${i}`.repeat(400) })).join('');
    const found = read(ROLE + long + STOP + DONE, { shortcut }).estimatedOutputTokens;
    assert.ok(found >= 500 && found <= 510, `${found}`);
  }
});

test('random padding beside the content is not counted as output', () => {
  const padded = (content: string): string =>
    event({ id: 'c', model: 'gpt', choices: [{ index: 0, delta: { content }, finish_reason: null }], obfuscation: 'x'.repeat(40) });
  const stream = ROLE + Array.from({ length: 20 }, () => padded(' word')).join('');
  for (const shortcut of [true, false]) {
    const { estimatedOutputTokens } = read(stream, { shortcut });
    assert.ok(estimatedOutputTokens >= 20 && estimatedOutputTokens <= 40, `${estimatedOutputTokens} tokens`);
  }
});

test('a large event may have Unicode line separators in its text', () => {
  const stream = ROLE + chunk({ content: `a\u2028b\u2029${'c'.repeat(300_000)}` }) + STOP + DONE;
  const found = read(stream, { size: 64 * 1024 });
  assert.deepEqual([found.failure, found.done, found.facts.finishReason], [null, true, 'stop']);
});
