import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODECS } from '../codecs.ts';
import { convertBytes, ResponseConversion } from '../conversion.ts';
import type { TargetCapabilities } from '../conversion-loss.ts';
import { DIALECTS } from '../dialects.ts';
import type { StreamPush } from '../dialect.ts';
import type { DialectName } from '../model.ts';

const CAN: TargetCapabilities = {
  outputBoundField: 'max_tokens',
  reasons: true,
  thinking: 'none',
  samples: true,
  supportsImages: true,
  prefills: false,
  formats: false,
  outputMax: null,
};
const CLAUDE: TargetCapabilities = { ...CAN, thinking: 'budget', prefills: true };
const converse = DIALECTS['bedrock-converse'];

type Fields = Record<string, unknown>;

function write(from: DialectName, request: object, can = CAN): { readonly body: Fields; readonly dropped: readonly string[] } | string {
  const converted = convertBytes(from, Buffer.from(JSON.stringify({ model: 'm', ...request })), false, converse, can);
  if (!converted.ok) return converted.field;
  return { body: JSON.parse(Buffer.from(converted.body.bytes).toString()) as Fields, dropped: converted.dropped };
}

const call = { id: 'call_1', type: 'function', function: { name: 'tide', arguments: '{"at":12345678901234567890}' } };

test('a chat request becomes turns, system text, settings and tools of Converse', () => {
  const written = write('openai-chat', {
    messages: [
      { role: 'system', content: 'Be brief.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'When?' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,QUJD' } },
        ],
      },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'call_1', content: 'noon' },
    ],
    max_tokens: 50,
    temperature: 0.5,
    stop: ['END'],
    tools: [{ type: 'function', function: { name: 'tide', description: 'Tells', parameters: { type: 'object', properties: {} } } }],
    tool_choice: { type: 'function', function: { name: 'tide' } },
    seed: 1,
  });
  assert.deepEqual(written, {
    body: {
      system: [{ text: 'Be brief.' }],
      messages: [
        { role: 'user', content: [{ text: 'When?' }, { image: { format: 'png', source: { bytes: 'QUJD' } } }] },
        // oxlint-disable-next-line no-loss-of-precision
        { role: 'assistant', content: [{ toolUse: { toolUseId: 'call_1', name: 'tide', input: { at: 12345678901234567890 } } }] },
        { role: 'user', content: [{ toolResult: { toolUseId: 'call_1', content: [{ text: 'noon' }] } }] },
      ],
      inferenceConfig: { maxTokens: 50, temperature: 0.5, stopSequences: ['END'] },
      toolConfig: {
        tools: [{ toolSpec: { name: 'tide', description: 'Tells', inputSchema: { json: { type: 'object', properties: {} } } } }],
        toolChoice: { tool: { name: 'tide' } },
      },
    },
    dropped: ['seed'],
  });
});

test('numbers of tool arguments keep their digits', () => {
  const messages = [
    { role: 'user', content: 'x' },
    { role: 'assistant', tool_calls: [call] },
    { role: 'tool', tool_call_id: 'call_1', content: 'y' },
  ];
  const converted = convertBytes('openai-chat', Buffer.from(JSON.stringify({ model: 'm', messages })), false, converse, CAN);
  assert.ok(converted.ok && Buffer.from(converted.body.bytes).toString().includes('"input":{"at":12345678901234567890}'));
});

test('a conversation with tool calls keeps tools even if none is offered or callable', () => {
  const messages = [
    { role: 'user', content: 'x' },
    { role: 'assistant', tool_calls: [call] },
    { role: 'tool', tool_call_id: 'call_1', content: '' },
  ];
  const bare = write('openai-chat', { messages });
  assert.ok(typeof bare === 'object');
  assert.deepEqual(bare.body['toolConfig'], { tools: [{ toolSpec: { name: 'tide', inputSchema: { json: { type: 'object' } } } }] });
  const tools = [{ type: 'function', function: { name: 'other', parameters: { type: 'object', properties: {} } } }];
  const forbidden = write('openai-chat', { messages, tools, tool_choice: 'none' });
  assert.ok(typeof forbidden === 'object');
  assert.equal((forbidden.body['toolConfig'] as { toolChoice?: unknown }).toolChoice, undefined);
  assert.deepEqual(forbidden.dropped, ['tool_choice']);
  const unused = write('openai-chat', { messages: messages.slice(0, 1), tools, tool_choice: 'none' });
  assert.ok(typeof unused === 'object' && unused.body['toolConfig'] === undefined);
});

test('media by URL is refused, and no output limit is set if the caller set none', () => {
  const image = { type: 'image_url', image_url: { url: 'https://example.com/a.png' } };
  assert.equal(write('openai-chat', { messages: [{ role: 'user', content: [image] }] }), 'messages.image');
  const written = write('openai-chat', { messages: [{ role: 'user', content: 'x' }] });
  assert.ok(typeof written === 'object' && written.body['inferenceConfig'] === undefined);
});

test('documents get valid, distinct names', () => {
  const document = {
    type: 'document',
    title: 'Q1_report: "final"',
    source: { type: 'base64', media_type: 'application/pdf', data: 'QUJD' },
  };
  const written = write('anthropic-messages', { max_tokens: 9, messages: [{ role: 'user', content: [document, document] }] });
  assert.ok(typeof written === 'object');
  const [{ content }] = written.body['messages'] as [{ content: unknown[] }];
  assert.deepEqual(content, [
    { document: { format: 'pdf', name: 'Q1 report final 1', source: { bytes: 'QUJD' } } },
    { document: { format: 'pdf', name: 'Q1 report final 2', source: { bytes: 'QUJD' } } },
  ]);
});

test('signed reasoning of earlier turns is dropped and reported; thinking is requested from Claude models', () => {
  const request = {
    max_tokens: 4000,
    thinking: { type: 'enabled', budget_tokens: 2000 },
    messages: [
      { role: 'user', content: 'x' },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'hm', signature: 'c2ln' },
          { type: 'text', text: 'y' },
        ],
      },
      { role: 'user', content: 'z' },
    ],
  };
  const claude = write('anthropic-messages', request, CLAUDE);
  assert.ok(typeof claude === 'object');
  assert.deepEqual(claude.body['additionalModelRequestFields'], { thinking: { type: 'enabled', budget_tokens: 2000 } });
  assert.deepEqual([claude.dropped, JSON.stringify(claude.body).includes('c2ln')], [['reasoning'], false]);
  const other = write('anthropic-messages', request);
  assert.ok(typeof other === 'object' && other.body['additionalModelRequestFields'] === undefined);
});

const USAGE = { inputTokens: 7, outputTokens: 5, totalTokens: 22, cacheReadInputTokens: 10, cacheWriteInputTokens: 0 };
const PLAIN = {
  output: {
    message: {
      role: 'assistant',
      content: [
        { reasoningContent: { reasoningText: { text: 'hm', signature: 'c2ln' } } },
        { text: 'größer' },
        { toolUse: { toolUseId: 'tooluse_1', name: 'tide', input: { at: 'noon' } } },
      ],
    },
  },
  stopReason: 'tool_use',
  usage: USAGE,
};
const STREAM: readonly (readonly [string, object])[] = [
  ['messageStart', { role: 'assistant' }],
  ['contentBlockDelta', { contentBlockIndex: 0, delta: { reasoningContent: { text: 'h' } } }],
  ['contentBlockDelta', { contentBlockIndex: 0, delta: { reasoningContent: { text: 'm' } } }],
  ['contentBlockDelta', { contentBlockIndex: 0, delta: { reasoningContent: { signature: 'c2ln' } } }],
  ['contentBlockStop', { contentBlockIndex: 0 }],
  ['contentBlockDelta', { contentBlockIndex: 1, delta: { text: 'grö' } }],
  ['somethingNew', { x: 1 }],
  ['contentBlockDelta', { contentBlockIndex: 1, delta: { text: 'ßer' } }],
  ['contentBlockStop', { contentBlockIndex: 1 }],
  ['contentBlockStart', { contentBlockIndex: 2, start: { toolUse: { toolUseId: 'tooluse_1', name: 'tide' } } }],
  ['contentBlockDelta', { contentBlockIndex: 2, delta: { toolUse: { input: '{"at":' } } }],
  ['contentBlockDelta', { contentBlockIndex: 2, delta: { toolUse: { input: '"noon"}' } } }],
  ['contentBlockStop', { contentBlockIndex: 2 }],
  ['messageStop', { stopReason: 'tool_use' }],
  ['metadata', { usage: USAGE, metrics: { latencyMs: 1 } }],
];
const sse = (events: typeof STREAM): Buffer =>
  Buffer.from(events.map(([name, event]) => `event: ${name}\ndata: ${JSON.stringify(event)}\n\n`).join(''));

const OPTIONS = { id: 'r1', model: 'm', createdAt: 1, includeUsage: true, tools: [], echo: {} };

test('streamed and non-streaming responses have the same content, in every caller dialect', () => {
  for (const to of ['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini'] as const) {
    const conversion = new ResponseConversion(converse, DIALECTS[to], OPTIONS);
    const whole = conversion.read(Buffer.from(JSON.stringify(PLAIN)), 1);
    assert.ok(whole.ok && whole.converted !== undefined);
    assert.deepEqual(whole.facts.usage, { inputTokens: 17, cachedInputTokens: 10, outputTokens: 5 });
    const reader = conversion.createReader(1_000_000)!;
    const push = reader.push(sse(STREAM));
    assert.deepEqual([push.done, push.failure, reader.facts.finishReason], [true, null, whole.facts.finishReason]);
    const parser = CODECS[to].createParser();
    const events = [...parser.parse(push.pieces), ...parser.end()];
    const parsed = CODECS[to].parseResponse(whole.converted);
    const texts = (type: string): string =>
      events
        .map((event) =>
          event.type === 'delta' && events.some((head) => head.type === 'part_start' && head.part === event.part && head.head.type === type)
            ? event.text
            : '',
        )
        .join('');
    const wholeTexts = (type: string): string =>
      parsed.choices[0]!.parts.flatMap(({ head, text }) => (head.type === type ? [text] : [])).join('');
    for (const type of ['text', 'tool_call']) assert.equal(texts(type), wholeTexts(type), `${to} ${type}`);
    assert.deepEqual([wholeTexts('text'), JSON.parse(wholeTexts('tool_call'))], ['größer', { at: 'noon' }]);
  }
});

test('a stream that ends before its stop reason is cut, wherever it ends', () => {
  const read = (events: typeof STREAM): StreamPush => {
    const reader = converse.stream.watch({ operation: 'chat', keepUsage: true, maxEventSize: 1_000_000 })!;
    const push = reader.push(sse(events));
    return push.done || push.failure !== null ? push : reader.end();
  };
  for (let length = 1; length < STREAM.length - 2; length++) {
    const { done, failure } = read(STREAM.slice(0, length));
    assert.deepEqual([done, failure?.kind], [false, 'cut'], `after ${length} events`);
  }
  assert.equal(read(STREAM.slice(0, -1)).done, true, 'only the usage is missing');
  const reader = converse.stream.watch({ operation: 'chat', keepUsage: true, maxEventSize: 1_000_000 })!;
  assert.equal(reader.push(Buffer.from('event: contentBlockDelta\ndata: {"x":\n\n')).failure?.kind, 'malformed');
});

test('a stop reason that denotes a failure is one, whole or streamed, after any content', () => {
  for (const stopReason of ['malformed_tool_use', 'malformed_model_output'])
    for (const to of ['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini'] as const) {
      const conversion = new ResponseConversion(converse, DIALECTS[to], OPTIONS);
      const whole = conversion.read(Buffer.from(JSON.stringify({ ...PLAIN, stopReason })), 1);
      assert.deepEqual([whole.ok, whole.ok || whole.failure.code], [false, stopReason]);
      const reader = conversion.createReader(1_000_000)!;
      const push = reader.push(sse(STREAM.map(([name, event]) => [name, name === 'messageStop' ? { stopReason } : event])));
      assert.deepEqual([push.done, push.hasContent, push.failure?.code], [false, true, stopReason]);
      assert.doesNotMatch(
        Buffer.concat(push.pieces).toString(),
        /malformed|"finish_reason":"|stop_reason":"|finishReason|response\.completed/,
      );
    }
});

test('guardrails and filters give content_filter; an empty body, an error or invalid JSON is a failure', () => {
  const read = (body: string) => converse.response.read('chat', Buffer.from(body), 1, null);
  for (const stopReason of ['guardrail_intervened', 'content_filtered']) {
    const judged = read(JSON.stringify({ ...PLAIN, output: { message: { content: [{ text: 'Sorry.' }] } }, stopReason }));
    assert.ok(judged.ok);
    assert.equal(judged.facts.finishReason, 'content_filter');
  }
  const kindOf = (body: string): string | undefined => {
    const judged = read(body);
    return judged.ok ? undefined : judged.failure.kind;
  };
  assert.equal(kindOf(JSON.stringify({ ...PLAIN, output: { message: { content: [] } }, stopReason: 'end_turn' })), 'empty');
  assert.equal(kindOf('{"message":"Too many requests","code":"ThrottlingException"}'), 'error');
  assert.equal(kindOf('<html>'), 'malformed');
  assert.equal(kindOf(''), 'empty');
});
