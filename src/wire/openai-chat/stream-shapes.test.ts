/** Content where clients do not read it, and calls that end inside their arguments. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { createChatStreamReader } from './stream-reader.ts';

function read(stream: string, settings: { operation?: 'chat' | 'completions'; choices?: number } = {}) {
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 1_000_000, ...settings });
  const pushes = [reader.push(Buffer.from(stream)), reader.end()];
  const text = Buffer.concat(pushes.flatMap(({ pieces }) => pieces)).toString();
  const failure = pushes.find((push) => push.failure !== null)?.failure ?? null;
  return { text, failure, done: pushes.some(({ done }) => done), facts: reader.facts };
}

const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const chunk = (delta: unknown, finish: string | null = null): string =>
  event({ id: 'c', object: 'chat.completion.chunk', model: 'gpt', choices: [{ index: 0, delta, finish_reason: finish }] });
const DONE = 'data: [DONE]\n\n';
const words = (text: string): string => text.split(' ').map((word) => chunk({ content: word })).join(''); // prettier-ignore

const callChunk = (index: number, text: unknown, more: object = {}) =>
  chunk({ tool_calls: [{ index, ...more, function: { name: 'f', arguments: text } }] });

test('arguments that end inside their JSON are a cut response, and its finish reason is not passed on', () => {
  for (const half of ['{', '{"a', '{"a":', '{"a":"b', '{"a":[1,', '{"a":{"b":1}', ' {"a":tru']) {
    for (const finish of ['tool_calls', 'stop', 'function_call']) {
      const calls = callChunk(0, half.slice(0, 2)) + callChunk(0, half.slice(2));
      const outcome = read(calls + chunk({}, finish) + DONE);
      assert.deepEqual([outcome.failure?.kind, outcome.text], ['cut', calls], `${half} ${finish}`);
    }
    const together = event({
      choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: half } }] }, finish_reason: 'stop' }],
    });
    assert.equal(read(together + DONE).failure?.kind, 'cut', half);
    const legacy = chunk({ function_call: { name: 'f', arguments: half } });
    assert.equal(read(legacy + chunk({}, 'function_call') + DONE).failure?.kind, 'cut', half);
  }
  const second = callChunk(0, '{}', { id: 'a' }) + callChunk(1, '{"b', { id: 'b' });
  assert.equal(read(second + chunk({}, 'tool_calls') + DONE).failure?.kind, 'cut');
});

test('arguments that the model may have written this way are passed on', () => {
  for (const text of [
    '',
    ' ',
    '{}',
    '{"a":1}',
    '{"a":1}\n',
    'free text {',
    '[1',
    "{'a': 1",
    '{"a":1}}',
    '{"a" 1',
    null,
    { a: 1 },
    'null',
  ]) {
    const outcome = read(callChunk(0, text) + chunk({}, 'tool_calls') + DONE);
    assert.deepEqual([outcome.done, outcome.failure], [true, null], JSON.stringify(text));
  }
  const custom = chunk({ tool_calls: [{ index: 0, type: 'custom', custom: { name: 'sql', input: '{"select' } }] });
  assert.equal(read(custom + chunk({}, 'tool_calls') + DONE).done, true);
  for (const finish of ['length', 'content_filter', 'max_tokens'])
    assert.equal(read(callChunk(0, '{"a') + chunk({}, finish) + DONE).done, true, finish);
  const two = callChunk(0, '{"a":1}', { id: 'a' }) + callChunk(0, '{"b":2}', { id: 'b' });
  assert.equal(read(two + chunk({}, 'tool_calls') + DONE).done, true, 'two calls with one index');
  const parts =
    chunk({ tool_calls: [{ id: 'a', function: { arguments: '{"a"' } }] }) + chunk({ tool_calls: [{ function: { arguments: ':1}' } }] });
  assert.equal(read(parts + chunk({}, 'tool_calls') + DONE).done, true, 'fragments without an index');
});

const saidBy = (text: string) =>
  text
    .split('\n\n')
    .filter((part) => part.startsWith('data: {'))
    .map((part) => (JSON.parse(part.slice('data: '.length)) as { choices: Record<string, unknown>[] }).choices[0]!);

test('a complete message in a chat stream becomes a delta', () => {
  const message = {
    role: 'assistant',
    content: 'hello',
    tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
  };
  const whole = event({ id: 'x', object: 'chat.completion', model: 'm', choices: [{ index: 0, message, finish_reason: 'stop' }] });
  const outcome = read(whole + DONE);
  assert.deepEqual([outcome.done, outcome.facts.hasContent], [true, true]);
  const delta = { ...message, tool_calls: [{ ...message.tool_calls[0], index: 0 }] };
  assert.deepEqual(saidBy(outcome.text), [{ index: 0, finish_reason: 'stop', delta }]);
  assert.match(outcome.text, /"object":"chat\.completion\.chunk"/);
});

test('a complete message after its deltas is not repeated, and repeated complete messages are malformed', () => {
  const whole = (content: string, finish: string | null) => event({ choices: [{ index: 0, message: { content }, finish_reason: finish }] });
  const after = read(words('hello') + whole('hello', 'stop') + DONE);
  assert.equal(after.done, true);
  assert.deepEqual(saidBy(after.text).at(-1), { index: 0, finish_reason: 'stop', delta: {} });
  const again = read(whole('hel', null) + whole('hello', 'stop') + DONE);
  assert.equal(again.failure?.kind, 'malformed');
  const two =
    event({ choices: [{ index: 0, message: { content: 'a' }, finish_reason: 'stop' }] }) +
    event({ choices: [{ index: 1, message: { content: 'b' }, finish_reason: 'stop' }] });
  assert.deepEqual(
    saidBy(read(two + DONE, { choices: 2 }).text).map(({ delta }) => delta),
    [{ content: 'a' }, { content: 'b' }],
  );
});

test('the text of a completion in a chat stream becomes the content of deltas, and vice versa', () => {
  const piece = (text: string, finish: string | null = null) =>
    event({ object: 'text_completion', choices: [{ index: 0, text, finish_reason: finish }] });
  const chat = read(piece('hel') + piece('lo') + piece('', 'stop') + DONE);
  assert.equal(chat.done, true);
  assert.deepEqual(
    saidBy(chat.text).map(({ delta }) => delta),
    [{ content: 'hel' }, { content: 'lo' }, {}],
  );
  assert.doesNotMatch(chat.text, /text_completion/);
  const completion = read(words('hel lo') + chunk({}, 'stop') + DONE, { operation: 'completions' });
  assert.deepEqual(
    saidBy(completion.text).map(({ text }) => text),
    ['hel', 'lo', ''],
  );
  const both =
    event({ choices: [{ index: 0, text: 'hello', delta: { content: 'hello' }, finish_reason: null }] }) + chunk({}, 'stop') + DONE;
  assert.equal(read(both).text, both, 'where both are there nothing is changed');
});
