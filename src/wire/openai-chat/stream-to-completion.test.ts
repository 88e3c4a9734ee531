import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completionToStream } from './completion-to-stream.ts';
import { readChatResponse } from './read-response.ts';
import { streamToCompletion } from './stream-to-completion.ts';

const head = { id: 'x', object: 'chat.completion.chunk', created: 7, model: 'm' };

function folded(...chunks: object[]): Record<string, unknown> {
  const events = chunks.map((chunk) => `data: ${JSON.stringify({ ...head, ...chunk })}\n\n`).join(': ping\n\n');
  const bytes = streamToCompletion(Buffer.from(`${events}data: [DONE]\n\n`));
  return JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
}

const says = (delta: object, more: object = {}) => ({ choices: [{ index: 0, delta, finish_reason: null, ...more }] });
const ends = (finish: string) => ({ choices: [{ index: 0, delta: {}, finish_reason: finish }] });
const messageOf = (response: Record<string, unknown>) => (response['choices'] as { message: Record<string, unknown> }[])[0]!.message;

test('text, reasoning and refusal are joined, and members of the whole response are kept', () => {
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  const response = folded(
    { ...says({ role: 'assistant', content: '' }), system_fingerprint: 'fp', service_tier: 'auto', usage: null, obfuscation: 'aa' },
    says({ role: 'assistant', reasoning_content: 'hm', content: null }),
    { ...says({ reasoning_content: 'm' }), service_tier: 'default' },
    says({ content: 'hel' }),
    { ...says({ content: 'lo ✓' }), id: 'another' },
    ends('length'),
    { choices: [], usage },
  );
  assert.deepEqual(response, {
    id: 'x',
    created: 7,
    model: 'm',
    system_fingerprint: 'fp',
    service_tier: 'default',
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'hello ✓', reasoning_content: 'hmm', refusal: null },
        logprobs: null,
        finish_reason: 'length',
      },
    ],
    usage,
  });
  assert.equal(messageOf(folded(says({ refusal: 'I ' }), says({ refusal: 'will not' }), ends('stop')))['refusal'], 'I will not');
});

test('interleaved fragments of tool calls are joined by index, in order', () => {
  const call = (index: number, more: object) => says({ tool_calls: [{ index, ...more }] });
  const response = folded(
    call(0, { id: 'a', type: 'function', function: { name: 'f', arguments: '' } }),
    call(1, { id: 'b', type: 'function', function: { name: 'g', arguments: '{"y"' } }),
    call(0, { id: '', type: 'function', function: { name: null, arguments: '{"x":' } }),
    call(1, { function: { arguments: ':2}' } }),
    call(0, { function: { name: 'f', arguments: '1}' } }),
    ends('tool_calls'),
  );
  assert.deepEqual(messageOf(response), {
    role: 'assistant',
    content: null,
    refusal: null,
    tool_calls: [
      { id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } },
      { id: 'b', type: 'function', function: { name: 'g', arguments: '{"y":2}' } },
    ],
  });
});

test('complete calls that all have the same index, or none, stay separate', () => {
  for (const index of [{ index: 0 }, {}]) {
    const call = (id: string) => ({ ...index, id, type: 'function', function: { name: id, arguments: '{}' } });
    const response = folded(says({ tool_calls: [call('a')] }), says({ tool_calls: [call('b'), call('c')] }), ends('tool_calls'));
    const ids = (messageOf(response)['tool_calls'] as { id: string }[]).map(({ id }) => id);
    assert.deepEqual(ids, ['a', 'b', 'c']);
  }
});

test('the old function call is joined', () => {
  const response = folded(
    says({ function_call: { name: 'f', arguments: '{' } }),
    says({ function_call: { arguments: '}' } }),
    ends('function_call'),
  );
  assert.deepEqual(messageOf(response)['function_call'], { name: 'f', arguments: '{}' });
});

test('choices and their token probabilities stay separate', () => {
  const token = (text: string) => ({ token: text, logprob: -1, bytes: null, top_logprobs: [] });
  const part = (index: number, content: string, finish: string | null = null) => ({
    choices: [{ index, delta: { content }, finish_reason: finish, logprobs: { content: [token(content)], refusal: null } }],
  });
  const response = folded(part(1, 'b'), part(0, 'a'), part(1, 'B', 'stop'), part(0, 'A', 'stop'));
  const choices = response['choices'] as { index: number; message: { content: string }; logprobs: { content: unknown[] } }[];
  assert.deepEqual(
    choices.map(({ index, message, logprobs }) => [index, message.content, logprobs.content]),
    [
      [0, 'aA', [token('a'), token('A')]],
      [1, 'bB', [token('b'), token('B')]],
    ],
  );
});

test('unknown members are kept: strings joined, lists appended, items with the same index joined', () => {
  const response = folded(
    says({
      thinking: 'a',
      annotations: [{ url: 1 }],
      reasoning_details: [{ type: 'text', index: 0, text: 'x' }],
      audio: { id: 'i', data: 'AA' },
    }),
    says(
      { thinking: 'b', annotations: [{ url: 2 }], reasoning_details: [{ type: 'text', index: 0, text: 'y' }], audio: { data: 'BB' } },
      { native_finish_reason: 'end', content_filter_results: { hate: false } },
    ),
    ends('stop'),
  );
  const [choice] = response['choices'] as Record<string, unknown>[];
  assert.equal(choice!['native_finish_reason'], 'end');
  assert.deepEqual(choice!['content_filter_results'], { hate: false });
  assert.deepEqual(choice!['message'], {
    role: 'assistant',
    thinking: 'ab',
    annotations: [{ url: 1 }, { url: 2 }],
    reasoning_details: [{ type: 'text', index: 0, text: 'xy' }],
    audio: { id: 'i', data: 'AABB' },
    content: null,
    refusal: null,
  });
});

test('an old completion keeps its form', () => {
  const part = (text: string, finish: string | null) => ({
    object: 'text_completion',
    choices: [{ index: 0, text, logprobs: { tokens: [text], token_logprobs: [null] }, finish_reason: finish }],
  });
  const response = folded(part('a', null), part('b', 'length'));
  assert.equal(response['object'], 'text_completion');
  assert.deepEqual(response['choices'], [
    { index: 0, text: 'ab', logprobs: { tokens: ['a', 'b'], token_logprobs: [null, null] }, finish_reason: 'length' },
  ]);
});

test('names can not change the prototype of all objects', () => {
  const events = `data: {"choices":[{"index":0,"delta":{"content":"x","__proto__":{"bad":1},"audio":{"__proto__":{"bad":1}}}}]}\n\n`;
  streamToCompletion(Buffer.from(events + events));
  assert.equal(({} as Record<string, unknown>)['bad'], undefined);
});

test('a response converted to a stream and back is the same response', () => {
  const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } };
  const response = {
    id: 'x',
    created: 7,
    model: 'm',
    system_fingerprint: 'fp',
    object: 'chat.completion',
    choices: [
      { index: 0, message: { role: 'assistant', content: 'hi', refusal: null }, logprobs: null, finish_reason: 'stop' },
      {
        index: 1,
        message: { role: 'assistant', content: null, refusal: null, tool_calls: [call, { ...call, id: 'd' }] },
        logprobs: null,
        finish_reason: 'tool_calls',
      },
    ],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  };
  const bytes = streamToCompletion(completionToStream(Buffer.from(JSON.stringify(response)), true));
  assert.deepEqual(JSON.parse(Buffer.from(bytes).toString()), response);
  const read = readChatResponse('chat', bytes);
  assert.deepEqual(read.ok && [read.facts.finishReason, read.facts.usage?.outputTokens, read.facts.hasContent], ['stop', 2, true]);
});
