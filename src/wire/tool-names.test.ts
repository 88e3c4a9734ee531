import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CODECS } from './codecs.ts';
import { convertResponse } from './converted-response.ts';
import type { ModelTool, WriteOptions } from './model.ts';
import { createToolFilter, toTargetName } from './tool-names.ts';

const LONG = `mcp__${'a-server-with-a-long-name_'.repeat(3)}__read_file`;
const tool = (name: string): ModelTool => ({ type: 'function', name, description: null, schema: null, strict: null });

test('a name that the target accepts stays; any other becomes a valid and unique one', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.oneof(fc.string({ minLength: 1, maxLength: 200 }), fc.stringMatching(/^[a-z_.]{60,90}$/)), { maxLength: 6 }),
      (names) => {
        const sent = names.map((name) => toTargetName('openai-chat', name));
        for (const [i, name] of sent.entries()) {
          assert.match(name, /^[A-Za-z0-9_-]{1,64}$/);
          if (/^[A-Za-z0-9_-]{1,64}$/.test(names[i]!)) assert.equal(name, names[i]);
        }
        assert.equal(new Set(sent).size, names.length);
      },
    ),
  );
});

test('a caller sees calls under its own names, streaming or not', () => {
  const options: WriteOptions = { id: 'r', model: 'm', createdAt: 0, includeUsage: true, tools: [tool(LONG), tool('tide')], echo: {} };
  const called = (name: string): object => ({ id: `c_${name.length}`, type: 'function', function: { name, arguments: '{}' } });
  const message = { role: 'assistant', content: null, tool_calls: [called(toTargetName('openai-chat', LONG)), called('tide')] };
  const body = Buffer.from(JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, message, finish_reason: 'tool_calls' }] }));
  const converted = convertResponse(body, 'openai-chat', 'anthropic-messages', options);
  const { content } = JSON.parse(Buffer.from(converted.body).toString()) as { content: { name: string }[] };
  assert.deepEqual(
    content.map(({ name }) => name),
    [LONG, 'tide'],
  );
});

test("such a call in a conversation has the name of the target's tool", () => {
  const request = {
    model: 'm',
    max_tokens: 9,
    tools: [{ name: LONG, input_schema: { type: 'object' } }],
    tool_choice: { type: 'tool', name: LONG },
    messages: [
      { role: 'user', content: 'x' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: LONG, input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'y' }] },
    ],
  };
  const can = {
    outputBoundField: 'max_tokens',
    reasons: true,
    thinking: 'none',
    samples: true,
    supportsImages: true,
    prefills: true,
    formats: true,
    outputMax: null,
  } as const;
  const parsed = CODECS['anthropic-messages'].parseRequest(JSON.stringify(request), false);
  const written = CODECS['openai-chat'].writeRequest(parsed, { model: 'm', askUsage: false, apply: (body) => body }, can);
  assert.ok(written.ok);
  const named = [
    ...Buffer.from(written.body)
      .toString()
      .matchAll(/"name":"([^"]+)"/g),
  ].map(([, name]) => name);
  assert.deepEqual(
    named,
    Array.from({ length: 3 }, () => toTargetName('openai-chat', LONG)),
  );
});

test('there is no filter if every name is valid', () => {
  assert.equal(createToolFilter('openai-chat', [tool('tide')]), null);
  assert.equal(createToolFilter('anthropic-messages', [tool(LONG.slice(0, 100))]), null);
});
