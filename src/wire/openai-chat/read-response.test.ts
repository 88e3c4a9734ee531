import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import type { ResponseFacts, Failure } from '../../core/facts.ts';
import type { Operation } from '../../core/request.ts';
import { JsonOutline } from '../json-outline.ts';
import { readChatResponse } from './read-response.ts';

const bytesOf = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

function facts(value: unknown, operation: Operation = 'chat'): ResponseFacts {
  const response = readChatResponse(operation, bytesOf(value));
  assert.ok(response.ok, JSON.stringify(response));
  return response.facts;
}

function failure(value: unknown, operation: Operation = 'chat'): Failure {
  const response = readChatResponse(operation, bytesOf(value));
  assert.ok(!response.ok);
  return response.failure;
}

const chat = (message: unknown, finish: string | null = 'stop', more: object = {}): object => ({
  id: 'c',
  model: 'gpt',
  choices: [{ index: 0, message, finish_reason: finish }],
  usage: { prompt_tokens: 7, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 2 } },
  ...more,
});

test('reads the facts of a chat response', () => {
  assert.deepEqual(facts(chat({ role: 'assistant', content: 'Hi' })), {
    model: 'gpt',
    usage: { inputTokens: 7, cachedInputTokens: 2, outputTokens: 3 },
    finishReason: 'stop',
    hasContent: true,
  });
});

test('tolerates a byte order mark, empty lines and white space around the response', () => {
  assert.equal(facts(`\ufeff\n\n\r\n ${JSON.stringify(chat({ content: 'Hi' }))}\n\n`).hasContent, true);
});

test('trailing garbage, a cut text and anything but an object are malformed', () => {
  const good = JSON.stringify(chat({ content: 'Hi' }));
  for (const bad of [`${good}x`, good + good, good.slice(0, -1), '[]', '<html>', 'null', '"text"']) {
    assert.equal(failure(bad).kind, 'malformed', bad);
  }
  assert.equal(readChatResponse('chat', Buffer.concat([bytesOf(good.slice(0, -2)), Buffer.from([0xff]), bytesOf('}')])).ok, false);
});

test('an error with a success status is an error', () => {
  assert.equal(failure({ error: { message: 'm', code: 503 } }).kind, 'error');
  assert.equal(failure({ error: { message: 'm', code: 503 } }).status, 503);
  assert.equal(failure({ error: 'words' }).message, 'words');
  assert.equal(failure({ ...chat({ content: 'Hi' }), error: { message: 'm', code: 'c' } }).code, 'c');
  assert.equal(failure({ object: 'error', message: 'flat', code: 40303 }).message, 'flat');
  assert.equal(failure(chat({ content: 'half' }, 'error')).kind, 'error');
  assert.equal(facts(chat({ content: 'Hi' }, 'stop', { error: null })).hasContent, true);
  assert.equal(failure({ error: { message: 'm' } }, 'embeddings').kind, 'error');
});

test('a response without content is empty, and its body is kept', () => {
  const generated = { usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 } };
  const bodies = [
    chat({ content: null }),
    chat({ content: null }, 'stop', generated),
    chat({ content: '' }),
    chat({ content: '', tool_calls: [] }),
    chat({ content: '' }, 'stop', { usage: { prompt_tokens: 5, completion_tokens: 0, total_tokens: 5 } }),
    chat(null),
    { choices: [{ index: 0, text: '', finish_reason: 'stop' }] },
  ];
  for (const body of bodies) {
    const found = failure(body);
    assert.equal(found.kind, 'empty', JSON.stringify(body));
    assert.deepEqual(found.body, bytesOf(body));
  }
});

test('a body that is not a response at all is empty too, and not kept', () => {
  const unfinished = { choices: [{ index: 0, message: { role: 'assistant', content: '' }, finish_reason: null }] };
  const bodies = ['', ' \n\n', '\ufeff', {}, { choices: [] }, { choices: null }, unfinished];
  for (const body of bodies) {
    const found = failure(body);
    assert.deepEqual([found.kind, found.body], ['empty', null], JSON.stringify(body));
  }
});

test('an error in any form with a success status is found', () => {
  const errors = [
    { message: 'm' },
    { msg: 'm', code: 50501, data: null },
    { error_msg: 'm' },
    { detail: 'm' },
    { detail: [{ msg: 'm' }] },
    { success: false, errors: [{ message: 'm' }], data: null },
    { choices: null, message: 'm' },
  ];
  for (const body of errors) assert.deepEqual([failure(body).kind, failure(body).message], ['error', 'm'], JSON.stringify(body));
  assert.equal(facts({ ...chat({ content: 'Hi' }), message: 'fine', detail: 'fine' }).hasContent, true);
});

test('an error in a list of one is an error; a response in a list is malformed', () => {
  const found = failure([{ error: { message: 'slow down', code: 429 } }]);
  assert.deepEqual([found.kind, found.status, found.message], ['error', 429, 'slow down']);
  assert.equal(failure([chat({ role: 'assistant', content: 'Hi' })]).kind, 'malformed');
  assert.equal(failure([]).kind, 'malformed');
});

test('tool calls, refusals, reasoning, audio and text of completions are content', () => {
  const messages = [
    { content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }] },
    { content: null, function_call: { name: 'f' } },
    { content: null, refusal: 'No.' },
    { content: '', reasoning_content: 'hm' },
    { content: null, audio: { id: 'a', data: 'QQ==' } },
    { content: [{ type: 'text', text: 'x' }] },
  ];
  for (const message of messages) assert.equal(facts(chat(message)).hasContent, true, JSON.stringify(message));
  assert.equal(facts({ choices: [{ text: 'x', finish_reason: 'length' }] }, 'completions').finishReason, 'length');
  const second = { choices: [{ message: { content: '' } }, { message: { content: 'x' } }] };
  assert.equal(facts(second).hasContent, true);
});

test('finish reasons that report a failure are errors, whatever content precedes them', () => {
  for (const finish of [
    'network_error',
    'insufficient_system_resource',
    'abort',
    'timeout',
    'internal_error',
    'ServiceUnavailable',
    'failed',
  ])
    assert.deepEqual([failure(chat({ content: 'half' }, finish)).kind, failure(chat({ content: 'half' }, finish)).code], ['error', finish]);
});

test('reasoning under any name is reasoning, and not a response by itself', () => {
  const messages = [{ reasoning_text: 'hm' }, { thinking: 'hm' }, { x_thoughts: ['hm'] }, { thought: { text: 'hm' } }];
  messages.push({ content: [{ type: 'thinking', thinking: 'hm' }] } as never);
  for (const message of messages) {
    const found = facts(chat({ role: 'assistant', content: null, ...message }));
    assert.deepEqual([found.hasContent, found.onlyReasoning], [true, true], JSON.stringify(message));
  }
  assert.equal(
    failure(chat({ role: 'assistant', name: 'm', id: 'x', type: 'message', content: '', extra: null, parts: [] })).kind,
    'empty',
  );
});

test('a response of white space alone is empty', () => {
  for (const content of [' ', '\n\n', '\u00a0\t', '\u200b', [{ type: 'text', text: ' ' }]]) {
    assert.equal(failure(chat({ role: 'assistant', content })).kind, 'empty', JSON.stringify(content));
  }
  assert.equal(failure({ choices: [{ text: ' \n', finish_reason: 'stop' }] }, 'completions').kind, 'empty');
});

test('a response that reached its limit without content is truncated, unless nothing was generated', () => {
  const spent = { prompt_tokens: 7, completion_tokens: 512, completion_tokens_details: { reasoning_tokens: 512 } };
  for (const finish of ['length', 'MAX_TOKENS', 'model_context_window_exceeded'])
    assert.equal(facts(chat({ role: 'assistant', content: '' }, finish, { usage: spent })).hasContent, false);
  assert.equal(failure(chat({ content: '' }, 'length', { usage: { prompt_tokens: 7, completion_tokens: 0 } })).kind, 'empty');
  assert.equal(failure(chat({ content: '' }, 'stop', { usage: spent })).kind, 'empty');
});

test('a filtered response without content passes', () => {
  const found = facts(chat({ content: null }, 'content_filter'));
  assert.equal(found.hasContent, false);
  assert.equal(found.finishReason, 'content_filter');
});

test('embeddings need data; floats and base64 pass alike', () => {
  const usage = { prompt_tokens: 5, total_tokens: 5 };
  for (const embedding of [[0.1, -2e-5], 'AAAAAA==']) {
    const found = facts({ object: 'list', model: 'e', data: [{ object: 'embedding', index: 0, embedding }], usage }, 'embeddings');
    assert.equal(found.hasContent, true);
    assert.deepEqual(found.usage, { inputTokens: 5, cachedInputTokens: 0, outputTokens: 0 });
  }
  for (const body of [{ data: [] }, { data: null }, {}]) assert.equal(failure(body, 'embeddings').kind, 'empty');
});

test('embeddings without numbers are empty', () => {
  const hollow = [null, [], '', [null, null], [0.5, null], ['a', 'b'], [0.5, '1'], {}, true, [[]], ' '];
  for (const embedding of hollow) {
    for (const indent of [0, 1]) {
      const data = [
        { object: 'embedding', index: 0, embedding: [0.5] },
        { object: 'embedding', index: null, embedding },
      ];
      const found = failure(JSON.stringify({ object: 'list', data }, null, indent), 'embeddings');
      assert.deepEqual([found.kind, found.body], ['empty', null], JSON.stringify(embedding));
    }
  }
  for (const embeddings of [[], [[]], [[null]], { float: [] }]) assert.equal(failure({ embeddings }, 'embeddings').kind, 'empty');
  for (const embeddings of [[[0.5], [1]], { float: [[-1]], base64: ['AAAAAA=='] }])
    assert.equal(facts({ embeddings }, 'embeddings').hasContent, true);
  const nested = { data: [{ embedding: [[0.5], [1]], note: 'null' }, { embedding: { float: [1] } }] };
  assert.equal(facts(nested, 'embeddings').hasContent, true);
});

test('a response with fewer embeddings than inputs is malformed', () => {
  const vectors = (count: number) => Array.from({ length: count }, (_, index) => ({ object: 'embedding', index, embedding: [0.5, 1] }));
  for (const indent of [0, 2]) {
    const read = (count: number, asked: number) =>
      readChatResponse('embeddings', Buffer.from(JSON.stringify({ object: 'list', data: vectors(count) }, null, indent)), asked);
    assert.equal(read(3, 3).ok, true);
    assert.equal(read(4, 3).ok, true);
    const short = read(2, 3);
    assert.equal(short.ok ? null : short.failure.kind, 'malformed');
  }
});

test('bytes are never checked', () => {
  assert.equal(facts('anything', 'bytes').hasContent, true);
});

test('a deeply nested embedding is read without recursion', () => {
  const depth = 1_000_000;
  const bytes = Buffer.from(`{"data":[{"embedding":${'['.repeat(depth)}1${']'.repeat(depth)}}]}`);
  const outline = new JsonOutline();
  outline.push(bytes);
  assert.equal(readChatResponse('embeddings', bytes, 1, outline).ok, true);
});

const answered = (choices: object[], more: object = {}) =>
  Buffer.from(JSON.stringify({ object: 'chat.completion', model: 'm', choices, ...more }));
const calling = (text: unknown, finish: string | null) =>
  answered([
    {
      index: 0,
      message: { role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: text } }] },
      finish_reason: finish,
    },
  ]);

test('a call whose arguments end inside their JSON is a cut response, except at a limit', () => {
  for (const half of ['{', '{"a":"b', '{"a":[1,2']) {
    for (const finish of ['tool_calls', 'stop', null]) {
      const seen = readChatResponse('chat', calling(half, finish));
      assert.equal(seen.ok ? 'passed' : seen.failure.kind, 'cut', `${half} ${finish}`);
    }
    assert.equal(readChatResponse('chat', calling(half, 'length')).ok, true);
  }
  for (const text of ['', '{}', '{"a":1}', 'free {', "{'a': 1", '{"a" 1', null, { a: 1 }])
    assert.equal(readChatResponse('chat', calling(text, 'tool_calls')).ok, true, JSON.stringify(text));
});

test('a response in the shape of the other endpoint is converted to the requested one', () => {
  const completion = answered([{ index: 0, text: 'hello', finish_reason: 'stop' }], { object: 'text_completion' });
  const chat = readChatResponse('chat', completion);
  assert.ok(chat.ok && chat.converted !== undefined);
  assert.deepEqual(JSON.parse(Buffer.from(chat.converted).toString()), {
    object: 'chat.completion',
    model: 'm',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hello' } }],
  });
  const message = answered([{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }]);
  const text = readChatResponse('completions', message);
  assert.ok(text.ok && text.converted !== undefined);
  assert.deepEqual((JSON.parse(Buffer.from(text.converted).toString()) as { choices: unknown[] }).choices, [
    { index: 0, finish_reason: 'stop', text: 'hello' },
  ]);
  for (const [operation, bytes] of [
    ['chat', message],
    ['completions', completion],
  ] as const) {
    const same = readChatResponse(operation, bytes);
    assert.equal(same.ok && same.converted === undefined, true);
  }
});
