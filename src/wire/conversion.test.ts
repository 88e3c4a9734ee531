/** Requests converted to another dialect, and the fields reported as lost. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { CODECS } from './codecs.ts';
import type { TargetCapabilities } from './conversion-loss.ts';
import type { DialectName } from './model.ts';

const ABLE: TargetCapabilities = {
  outputBoundField: 'max_tokens',
  reasons: true,
  thinking: 'adaptive',
  samples: true,
  supportsImages: true,
  prefills: true,
  formats: true,
  outputMax: 64_000,
};

/** JSON whose shape is checked by the assertions. */
// oxlint-disable-next-line typescript/no-explicit-any
type Json = Record<string, any>;

interface Converted {
  readonly body: Json;
  readonly dropped: readonly string[];
}

function convert(from: DialectName, to: DialectName, request: object, can: Partial<TargetCapabilities> = {}): Converted | string {
  const parsed = CODECS[from].parseRequest(JSON.stringify({ model: 'x', ...request }), false);
  const encoded = CODECS[to].writeRequest(parsed, { model: 'm', askUsage: false, apply: (body) => body }, { ...ABLE, ...can });
  return encoded.ok ? { body: JSON.parse(Buffer.from(encoded.body).toString()) as Json, dropped: encoded.dropped } : encoded.field;
}

function toMessages(request: object, can: Partial<TargetCapabilities> = {}): Converted {
  const converted = convert('openai-chat', 'anthropic-messages', { messages: [{ role: 'user', content: 'Hi' }], ...request }, can);
  assert.ok(typeof converted === 'object', `refused for ${String(converted)}`);
  return converted;
}

function toChat(request: object, can: Partial<TargetCapabilities> = {}): Converted {
  const converted = convert(
    'anthropic-messages',
    'openai-chat',
    { max_tokens: 50, messages: [{ role: 'user', content: 'Hi' }], ...request },
    can,
  );
  assert.ok(typeof converted === 'object', `refused for ${String(converted)}`);
  return converted;
}

const tide = { type: 'object', properties: { at: { type: 'string' } }, required: ['at'], additionalProperties: false };
const loose = { type: 'object', properties: { at: { type: 'string' }, on: { type: 'string' } }, required: ['at'] };
const jsonSchema = (schema: object): object => ({
  response_format: { type: 'json_schema', json_schema: { name: 'tide', schema, strict: true } },
});
const chatTool = (more: object = {}): object => ({ type: 'function', function: { name: 'tide', parameters: tide, ...more } });

test('an unknown response format is refused', () => {
  for (const format of [{ type: 'grammar', grammar: 'x' }, { type: 'json_schema' }, {}]) {
    const request = { messages: [{ role: 'user', content: 'Hi' }], response_format: format };
    assert.equal(convert('openai-chat', 'anthropic-messages', request), 'response_format');
  }
  assert.deepEqual(toMessages({ response_format: { type: 'text' } }).dropped, []);
});

test('a request with only unconvertible content is refused; beside other content it is dropped', () => {
  const video = { type: 'video', url: 'https://example.com/tide.mp4' };
  const parts = [{ executableCode: { language: 'PYTHON', code: '1' } }];
  for (const to of ['openai-chat', 'openai-responses', 'anthropic-messages'] as const) {
    const gemini = { contents: [{ role: 'user', parts }], systemInstruction: { parts: [{ text: 'Be brief.' }] } };
    assert.equal(convert('gemini', to, gemini), 'messages.executableCode');
    const more = { contents: [{ role: 'user', parts: [...parts, { text: 'Hi' }] }] };
    assert.deepEqual((convert('gemini', to, more) as Converted).dropped, ['messages.executableCode']);
  }
  assert.equal(convert('openai-chat', 'gemini', { messages: [{ role: 'user', content: [video] }] }), 'messages.video');
  assert.ok(typeof convert('openai-chat', 'gemini', { messages: [] }) === 'object');
});

test("structured output is converted to the target's own form if it has one", () => {
  const { body } = toMessages(jsonSchema(tide));
  assert.deepEqual(body['output_config'], { format: { type: 'json_schema', schema: tide } });
  assert.equal(body['tools'], undefined);
});

test("a model without structured output is forced to call a tool, also beside the caller's tools", () => {
  const alone = toMessages(jsonSchema(tide), { formats: false }).body;
  assert.deepEqual(alone['tool_choice'], { type: 'tool', name: 'respond_in_format' });
  const beside = toMessages({ ...jsonSchema(tide), tools: [chatTool()] }, { formats: false }).body;
  assert.deepEqual(
    beside['tools'].map((tool: { name: string }) => tool.name),
    ['tide', 'respond_in_format'],
  );
  assert.deepEqual(beside['tool_choice'], { type: 'any' });
  const none = toMessages({ ...jsonSchema(tide), tools: [chatTool()], tool_choice: 'none' }, { formats: false }).body;
  assert.deepEqual(none['tool_choice'], { type: 'tool', name: 'respond_in_format' });
  // With a forced call there is no text.
  const forced = toMessages({ ...jsonSchema(tide), tools: [chatTool()], tool_choice: 'required' }, { formats: false }).body;
  assert.deepEqual(
    forced['tools'].map((tool: { name: string }) => tool.name),
    ['tide'],
  );
});

test('an object with arbitrary names, which structured output does not support, is requested by a tool', () => {
  const { body } = toMessages(jsonSchema({ type: 'object', additionalProperties: { type: 'number' } }));
  assert.equal(body['output_config'], undefined);
  assert.deepEqual(body['tools'][0].input_schema, { type: 'object', additionalProperties: { type: 'number' } });
});

test('strict tools stay strict if the target supports their schema; otherwise `strict` is dropped and reported', () => {
  const kept = toMessages({ tools: [chatTool({ strict: true })] });
  assert.equal(kept.body['tools'][0].strict, true);
  assert.deepEqual(kept.dropped, []);
  const old = toMessages({ tools: [chatTool({ strict: true })] }, { formats: false });
  assert.equal(old.body['tools'][0].strict, undefined);
  assert.deepEqual(old.dropped, ['tools.strict']);
  const messages = toChat({ tools: [{ name: 'tide', input_schema: loose, strict: true }] });
  assert.equal(messages.body['tools'][0].function.strict, undefined);
  assert.deepEqual(messages.dropped, ['tools.strict']);
});

test('a schema with optional members is not sent to OpenAI in strict mode, which rejects it', () => {
  const of = (schema: object): Converted => toChat({ output_config: { format: { type: 'json_schema', schema } } });
  assert.equal(of(tide).body['response_format'].json_schema.strict, true);
  const optional = of(loose);
  assert.equal(optional.body['response_format'].json_schema.strict, undefined);
  assert.deepEqual(optional.body['response_format'].json_schema.schema, loose);
  assert.deepEqual(optional.dropped, ['response_format.strict']);
});

test('a conversation that ends with an assistant turn is continued, or a user turn asks for it if the model rejects that', () => {
  const messages = [
    { role: 'user', content: 'Count.' },
    { role: 'assistant', content: 'One, ' },
  ];
  assert.deepEqual(toMessages({ messages }).body['messages'].at(-1), { role: 'assistant', content: [{ type: 'text', text: 'One,' }] });
  const { body } = toMessages({ messages }, { prefills: false });
  assert.deepEqual(
    body['messages'].map((message: { role: string }) => message.role),
    ['user', 'assistant', 'user'],
  );
});

test('a request that only fills the prompt cache, and more stop sequences than a chat target accepts, are refused', () => {
  const messages = [{ role: 'user', content: 'Hi' }];
  assert.equal(convert('anthropic-messages', 'openai-chat', { max_tokens: 0, messages }), 'max_tokens');
  const stop = ['a', 'b', 'c', 'd', 'e'];
  assert.equal(convert('anthropic-messages', 'openai-chat', { max_tokens: 9, messages, stop_sequences: stop }), 'stop_sequences');
  assert.deepEqual(toChat({ stop_sequences: stop.slice(1) }).body['stop'], stop.slice(1));
});

test('the default service tier is not reported as lost, another one is', () => {
  assert.deepEqual(toMessages({ service_tier: 'auto' }).dropped, []);
  assert.deepEqual(toMessages({ service_tier: 'default' }).dropped, []);
  assert.deepEqual(toMessages({ service_tier: 'flex' }).dropped, ['service_tier']);
});

test('a long name of an end user becomes a short one, always the same', () => {
  const named = (userId: string): unknown => toChat({ metadata: { user_id: userId } }).body['user'];
  assert.equal(named('u-1'), 'u-1');
  const long = 'user_'.repeat(30);
  assert.match(String(named(long)), /^[0-9a-f]{64}$/);
  assert.equal(named(long), named(long));
  assert.notEqual(named(long), named(`${long}2`));
});

test('names of dropped fields are made safe for a header, and their number is limited', () => {
  const named = toMessages({ 'a\r\nx-evil: 1': 1, '\ud800': 1, 港口: 1, ['long'.repeat(50)]: 1 }).dropped;
  assert.deepEqual(named, ['a__x-evil:_1', '_', '__', 'long'.repeat(16)]);
  const content = [{ type: 'a\r\nb' }, { type: 'text', text: 'Hi' }];
  assert.deepEqual(toMessages({ messages: [{ role: 'user', content }] }).dropped, ['messages.a__b']);
  const many = toMessages(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`x_${i}`, 1]))).dropped;
  assert.equal(many.length, 33);
  assert.equal(many.at(-1), 'more');
});

const OBJECT_FORMS = {
  contents: { parts: { text: 'Hi' } },
  system_instruction: { parts: { text: 'Be brief.' } },
  tools: { functionDeclarations: [{ name: 'f' }] },
};

test('Gemini: a single object counts as a list of contents, parts or tools', () => {
  const { body } = convert('gemini', 'openai-chat', OBJECT_FORMS) as Converted;
  assert.deepEqual(
    body['messages'].map(({ role, content }: Json) => [role, content]),
    [
      ['system', 'Be brief.'],
      ['user', 'Hi'],
    ],
  );
  assert.equal(body['tools'][0].function.name, 'f');
});

test('Gemini: values of the wrong type are ignored', () => {
  const odd = '{"contents":[{"parts":[{"text":"Hi"}]}],"toolConfig":{"functionCallingConfig":{"mode":{"toString":1}}},';
  const config = '"generationConfig":{"responseModalities":["text"],"thinkingConfig":{"thinkingLevel":1.10}}}';
  assert.equal(CODECS.gemini.parseRequest(odd + config, false).reasoning, null);
  const levelOf = (name: string) =>
    CODECS.gemini.parseRequest(`{"contents":[],"generationConfig":{"thinkingConfig":{"thinkingLevel":"${name}"}}}`, false).reasoning;
  assert.equal(levelOf('__proto__'), null);
  assert.equal(levelOf('HIGH')?.effort, 'high');
});

test('a field with any name is reported as dropped', () => {
  const { dropped } = toMessages({ constructor: 1, hasOwnProperty: 2, foo: 3 });
  assert.deepEqual(dropped.toSorted(), ['constructor', 'foo', 'hasOwnProperty']);
});

test('tool names are shortened to what the target accepts', () => {
  const name = `mcp__server__${'x'.repeat(60)}`;
  const request = {
    messages: [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name, input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: 'done' }] },
    ],
    max_tokens: 9,
    tools: [{ name, input_schema: { type: 'object' } }],
    tool_choice: { type: 'tool', name },
  };
  for (const to of ['gemini', 'openai-responses'] as const) {
    const { body } = convert('anthropic-messages', to, request) as Converted;
    const text = JSON.stringify(body);
    assert.ok(!text.includes(name), text);
    const sent = /mcp__[\w-]+/g;
    const names = text.match(sent)!;
    assert.equal(new Set(names).size, 1);
    assert.ok(names.length >= 3 && names[0].length === 64);
  }
});

test('Responses: allowed tools of a namespace have the names of the tools', () => {
  const tools = [{ type: 'namespace', name: 'ns', tools: [{ type: 'function', name: 'f', parameters: {} }] }];
  const choice = { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'f', namespace: 'ns' }] };
  const { body } = convert('openai-responses', 'openai-chat', { input: 'Hi', tools, tool_choice: choice }) as Converted;
  assert.ok(JSON.stringify(body['tool_choice']).includes(body['tools'][0].function.name as string), JSON.stringify(body));
});

test('documents of a Messages request are converted, and what is lost of them is reported', () => {
  const document = {
    type: 'document',
    source: { type: 'text', media_type: 'text/plain', data: 'High water at nine.' },
    title: 'Tides',
    context: 'Of March.',
    citations: { enabled: true },
  };
  const tool = { name: 'tide', input_schema: { type: 'object' }, cache_control: { type: 'ephemeral' }, input_examples: [{}] };
  const { body, dropped } = toChat({ messages: [{ role: 'user', content: [document, { type: 'text', text: 'When?' }] }], tools: [tool] });
  const sent = JSON.stringify(body['messages']);
  for (const text of ['Tides', 'Of March.', 'High water at nine.', 'When?']) assert.ok(sent.includes(text), sent);
  assert.deepEqual(new Set(dropped), new Set(['messages.citations', 'cache_control', 'tools.input_examples']));
});

test('a conversation that begins with an assistant turn gets a user turn before it, where the API requires one', () => {
  const call = { id: 'call_1', type: 'function', function: { name: 'tide', arguments: '{}' } };
  const called = [{ role: 'assistant', tool_calls: [call] }, { role: 'tool', tool_call_id: 'call_1', content: 'high' }]; // prettier-ignore
  const beginnings = [
    [],
    [{ role: 'user', content: '' }],
    [{ role: 'assistant', content: 'hello' }],
    [{ role: 'system', content: 'Be brief.' }],
  ];
  for (const beginning of beginnings) {
    const converted = convert('openai-chat', 'gemini', { messages: [...beginning, ...called] });
    assert.ok(typeof converted === 'object');
    const { contents } = converted.body as { contents: { role: string; parts: object[] }[] };
    assert.deepEqual(contents[0], { role: 'user', parts: [{ text: 'Continue.' }] });
    assert.deepEqual(contents.map(({ role }) => role), ['user', 'model', 'user']); // prettier-ignore
  }
  const usual = convert('openai-chat', 'gemini', { messages: [{ role: 'user', content: 'Hi' }, ...called] });
  assert.ok(typeof usual === 'object' && !JSON.stringify(usual.body).includes('Continue.'));
});
