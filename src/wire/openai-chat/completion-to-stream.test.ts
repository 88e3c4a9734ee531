import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completionToStream } from './completion-to-stream.ts';
import { createChatStreamReader } from './stream-reader.ts';

const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };

function eventsOf(response: object, keepUsage = false): unknown[] {
  const bytes = completionToStream(Buffer.from(`\uFEFF\n${JSON.stringify(response)}`), keepUsage);
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: true, maxEventSize: 1e6 });
  assert.equal(reader.push(bytes).done, true, 'a whole stream');
  const lines = Buffer.from(bytes).toString().split('\n\n').slice(0, -2);
  return lines.map((line) => JSON.parse(line.slice('data: '.length)) as unknown);
}

test('a complete response becomes its content and its end', () => {
  const message = { role: 'assistant', content: 'hello' };
  const response = { id: 'x', object: 'chat.completion', model: 'm', choices: [{ index: 0, message, finish_reason: 'length' }], usage };
  const head = { id: 'x', model: 'm', object: 'chat.completion.chunk' };
  assert.deepEqual(eventsOf(response), [
    { ...head, choices: [{ index: 0, delta: message, finish_reason: null }] },
    { ...head, choices: [{ index: 0, delta: {}, finish_reason: 'length' }] },
  ]);
  assert.deepEqual(eventsOf(response, true)[2], { ...head, choices: [], usage });
});

test('tool calls get their index, and the response ends with their finish reason', () => {
  const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
  const message = { role: 'assistant', content: null, tool_calls: [call, { ...call, id: 'call_2' }] };
  const [first, end] = eventsOf({ object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'tool_calls' }] }) as {
    choices: [{ delta: { tool_calls: { index: number }[] }; finish_reason: string | null }];
  }[];
  assert.deepEqual(
    first!.choices[0].delta.tool_calls.map(({ index }) => index),
    [0, 1],
  );
  assert.equal(end!.choices[0].finish_reason, 'tool_calls');
});

test('a text completion keeps its form', () => {
  const choice = { index: 0, text: 'hello', finish_reason: 'stop' };
  assert.deepEqual(eventsOf({ object: 'text_completion', choices: [choice] }), [{ object: 'text_completion', choices: [choice] }]);
});
