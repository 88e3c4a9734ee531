import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conversationText } from './conversation-text.ts';
import { decodeRequest } from './decode-request.ts';
import { DIALECTS } from './dialects.ts';
import type { DialectName } from './model.ts';

function textOf(dialect: DialectName, body: object, charsMax = 1_000, operation: 'chat' | 'completions' = 'chat'): string {
  const decoded = decodeRequest(DIALECTS[dialect], operation, Buffer.from(JSON.stringify({ model: 'm', ...body })));
  assert.ok(decoded.ok);
  return conversationText(dialect, decoded.body, charsMax);
}

const CONVERSATION = 'system: Be brief.\nuser: Where does it land?\nassistant: At the quay.\nuser: When?';

test('a conversation is the same text in every dialect', () => {
  const messages = [
    { role: 'user', content: 'Where does it land?' },
    { role: 'assistant', content: 'At the quay.' },
    { role: 'user', content: [{ type: 'text', text: 'When?' }] },
  ];
  assert.equal(textOf('openai-chat', { messages: [{ role: 'system', content: 'Be brief.' }, ...messages] }), CONVERSATION);
  assert.equal(textOf('anthropic-messages', { max_tokens: 9, system: 'Be brief.', messages }), CONVERSATION);
  assert.equal(textOf('openai-responses', { instructions: 'Be brief.', input: withInputParts(messages) }), CONVERSATION);
  const contents = messages.map(({ role, content }) => ({
    role: role === 'assistant' ? 'model' : role,
    parts: [{ text: typeof content === 'string' ? content : 'When?' }],
  }));
  assert.equal(textOf('gemini', { systemInstruction: { parts: [{ text: 'Be brief.' }] }, contents }), CONVERSATION);
});

function withInputParts(messages: readonly { role: string; content: unknown }[]): object[] {
  return messages.map(({ role, content }) => ({
    role,
    content: typeof content === 'string' ? content : [{ type: 'input_text', text: 'When?' }],
  }));
}

test('tool results are part of it, media, reasoning and tool calls are not', () => {
  const call = { id: 'c', type: 'function', function: { name: 'tide', arguments: '{"at":"noon"}' } };
  const messages = [
    {
      role: 'user',
      content: [
        { type: 'image_url', image_url: { url: 'data:' } },
        { type: 'text', text: 'And this?' },
      ],
    },
    { role: 'assistant', content: null, reasoning_content: 'hm', tool_calls: [call] },
    { role: 'tool', tool_call_id: 'c', content: 'high' },
  ];
  assert.equal(textOf('openai-chat', { messages }), 'user: And this?\nassistant: \ntool: high');
});

test('the prompt of a legacy completion stands for a conversation', () => {
  assert.equal(textOf('openai-chat', { prompt: 'Once' }, 100, 'completions'), 'Once');
  assert.equal(textOf('openai-chat', { prompt: ['a', 'b'] }, 100, 'completions'), '["a","b"]');
});

test('only the end of a long conversation is returned, and of a large request the end of its raw JSON', () => {
  const messages = [{ role: 'user', content: `${'x'.repeat(2_000)} end` }];
  assert.equal(textOf('openai-chat', { messages }, 8), 'xxxx end');
  const large = [{ role: 'user', content: `${'x'.repeat(2_000_000)} end` }];
  assert.equal(textOf('openai-chat', { messages: large, temperature: 1 }, 10), 'xxx end"}]');
});
