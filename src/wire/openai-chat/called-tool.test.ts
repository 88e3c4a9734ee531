import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { parseChatRequest } from './parse-request.ts';
import { parseChatResponse } from './parse-response.ts';
import { readChatResponse } from './read-response.ts';
import { readChoices } from './response-choices.ts';

/** A message in which the host sends every member, the unused ones empty. */
const FULL = {
  role: 'assistant',
  content: '',
  refusal: '',
  audio: { data: '', expires_at: 0, id: '', transcript: '' },
  function_call: { arguments: '', name: '' },
};
const call = { id: 'c1', type: 'function', function: { name: 'tide', arguments: '{"at":"Skagen"}' }, custom: { input: '', name: '' } };

function response(message: object): Buffer {
  return Buffer.from(JSON.stringify({ id: 'a', model: 'm', choices: [{ index: 0, message, finish_reason: '' }] }));
}

test('empty members beside a function call are not calls of their own', () => {
  const { choices } = parseChatResponse(response({ ...FULL, tool_calls: [call] }));
  assert.deepEqual(
    choices[0]!.parts.map(({ head, text }) => [head, text]),
    [[{ type: 'tool_call', id: 'c1', name: 'tide', kind: 'function' }, '{"at":"Skagen"}']],
  );
  assert.equal(choices[0]!.finish!.reason, 'tool_calls');
});

test('a custom tool beside an empty function is a call of the custom tool', () => {
  const custom = { id: 'c2', type: 'custom', function: { name: '', arguments: '' }, custom: { name: 'note', input: 'low tide' } };
  const { choices } = parseChatResponse(response({ ...FULL, tool_calls: [custom] }));
  assert.deepEqual(choices[0]!.parts[0]!.head, { type: 'tool_call', id: 'c2', name: 'note', kind: 'custom' });
  assert.equal(choices[0]!.parts[0]!.text, 'low tide');
});

test('a message of empty members has no content', () => {
  const read = readChatResponse('chat', response(FULL));
  assert.equal(read.ok ? 'ok' : read.failure.kind, 'empty');
  const [choice] = readChoices(response(FULL));
  assert.equal(choice!.callsTool, false);
  assert.equal(choice!.hasMedia, false);
});

test('the same message in a conversation is one call', () => {
  const messages = [
    { role: 'user', content: 'When?' },
    { ...FULL, tool_calls: [call] },
    { role: 'tool', tool_call_id: 'c1', content: 'noon' },
  ];
  const { turns } = parseChatRequest(JSON.stringify({ model: 'm', messages }));
  assert.deepEqual(
    turns.map(({ parts }) => parts.map(({ type }) => type)),
    [['text'], ['tool_call'], ['tool_result']],
  );
});
