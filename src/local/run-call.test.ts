import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Engine, EngineSpec, Generated, Prompt } from './engine.ts';
import { runCall } from './run-call.ts';

const spec = { name: 'offline/m', responseModel: 'offline/m' } as EngineSpec;
const generated: Generated = { finishReason: 'stop', inputTokens: 7, outputTokens: 5 };
const hello = [{ role: 'user', content: 'say hello' }];
const image = { type: 'image_url', image_url: { url: 'data:' } };

interface Result {
  readonly status: number | null;
  readonly text: string;
  readonly prompt: Prompt | null;
  readonly error: Error | null;
}

interface Double {
  readonly texts?: readonly string[];
  readonly end?: Partial<Generated>;
  readonly failure?: Error;
  /** The call is stopped after this many texts. */
  readonly stoppedAfter?: number;
}

/** Runs one call on an engine that emits the given texts. */
async function run(path: string, body: object | string, double: Double = {}): Promise<Result> {
  const { texts = ['The harbour', '', ' is new.'], end, failure, stoppedAfter = Infinity } = double;
  const result = { status: null as number | null, text: '', prompt: null as Prompt | null, error: null as Error | null };
  let emitted = 0;
  const engine: Engine = {
    generate(prompt, output) {
      result.prompt = prompt;
      for (const text of texts) {
        if (output.isStopped()) break;
        output.emit(text);
        emitted++;
      }
      return failure === undefined ? Promise.resolve({ ...generated, ...end }) : Promise.reject(failure);
    },
    close: () => Promise.resolve(),
  };
  const call = {
    id: 'call-1',
    path,
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    created: 1_780_000_000,
    isStopped: () => emitted >= stoppedAfter,
    signal: new AbortController().signal,
  };
  const out = {
    head(status: number, contentType: string) {
      result.status = status;
      assert.match(contentType, /^application\/json$|^text\/event-stream; charset=utf-8$/);
    },
    data: (text: string) => void (result.text += text),
  };
  await runCall(engine, spec, call, out).catch((error: unknown) => (result.error = error as Error));
  return result;
}

const chat = (more: object = {}, double?: Double): Promise<Result> => run('/chat/completions', { messages: hello, ...more }, double);
const completion = (more: object = {}, double?: Double): Promise<Result> => run('/completions', { prompt: 'Once', ...more }, double);
const streamed = { stream: true, stream_options: { include_usage: true } };

const chatChunk = (fields: string): string =>
  `data: {"id":"call-1","object":"chat.completion.chunk","created":1780000000,"model":"offline/m",${fields}}\n\n`;
const textChunk = (fields: string): string =>
  `data: {"id":"call-1","object":"text_completion","created":1780000000,"model":"offline/m",${fields}}\n\n`;
const choice = (fields: string, finish = 'null'): string => `"choices":[{"index":0,${fields},"logprobs":null,"finish_reason":${finish}}]`;
const usage = '"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}';

test('a chat response, byte for byte', async () => {
  const { status, text } = await chat();
  assert.equal(status, 200);
  const message = '"message":{"role":"assistant","content":"The harbour is new.","refusal":null}';
  assert.equal(
    text,
    `{"id":"call-1","object":"chat.completion","created":1780000000,"model":"offline/m",${choice(message, '"stop"')},${usage}}`,
  );
});

test('a chat stream, byte for byte, with usage if requested', async () => {
  const deltas = [
    ['"delta":{"role":"assistant","content":""}', 'null'],
    ['"delta":{"content":"The harbour"}', 'null'],
    ['"delta":{"content":" is new."}', 'null'],
    ['"delta":{}', '"stop"'],
  ] as const;
  const end = 'data: [DONE]\n\n';
  const without = deltas.map(([delta, finish]) => chatChunk(choice(delta, finish))).join('') + end;
  assert.equal((await chat({ stream: true })).text, without);
  const chunks = deltas.map(([delta, finish]) => chatChunk(`${choice(delta, finish)},"usage":null`)).join('');
  assert.equal((await chat(streamed)).text, `${chunks}${chatChunk(`"choices":[],${usage}`)}${end}`);
});

test('a legacy completion, byte for byte, with a prompt without chat template', async () => {
  const { text, prompt } = await completion({ prompt: ['Once'], max_tokens: 5, temperature: 0.5, top_p: 1, seed: 3, stop: 'x' });
  const written = choice('"text":"The harbour is new."', '"stop"');
  assert.equal(text, `{"id":"call-1","object":"text_completion","created":1780000000,"model":"offline/m",${written},${usage}}`);
  const messages = [{ role: 'user', content: 'Once' }];
  assert.deepEqual(prompt, { messages, isBare: true, maxTokens: 5, temperature: 0.5, topP: 1, seed: 3, stop: ['x'] });
});

test('a streamed legacy completion, byte for byte', async () => {
  const texts = [
    ['The harbour', 'null'],
    [' is new.', 'null'],
    ['', '"stop"'],
  ] as const;
  const chunks = texts.map(([text, finish]) => textChunk(`${choice(`"text":"${text}"`, finish)},"usage":null`)).join('');
  assert.equal((await completion(streamed)).text, `${chunks}${textChunk(`"choices":[],${usage}`)}data: [DONE]\n\n`);
});

test('a response without text is complete', async () => {
  const nothing = { texts: [], end: { finishReason: 'length' } } as const;
  assert.match((await chat({}, nothing)).text, /"content":"","refusal":null},"logprobs":null,"finish_reason":"length"/);
  const role = chatChunk(choice('"delta":{"role":"assistant","content":""}'));
  assert.equal((await chat({ stream: true }, nothing)).text, `${role}${chatChunk(choice('"delta":{}', '"length"'))}data: [DONE]\n\n`);
  assert.equal((await completion({ stream: true }, nothing)).text, `${textChunk(choice('"text":""', '"length"'))}data: [DONE]\n\n`);
});

test('a response ends before a stop text, with finish reason stop though generation was aborted', async () => {
  const { text } = await chat({ stop: ['', 'new'] }, { end: { finishReason: 'length' } });
  assert.match(text, /"content":"The harbour is ","refusal":null},"logprobs":null,"finish_reason":"stop"/);
});

const unsupported: readonly (readonly [name: string, body: object, param: string])[] = [
  ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools'],
  ['hosted tools', { tools: [{ type: 'web_search' }] }, 'tools'],
  ['legacy functions', { functions: [{ name: 'f' }] }, 'functions'],
  ['JSON', { response_format: { type: 'json_object' } }, 'response_format'],
  ['a schema', { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: {} } } }, 'response_format'],
  ['a provider-specific format', { response_format: { type: 'grammar', grammar: 'x' } }, 'response_format'],
  ['a format without its schema', { response_format: { type: 'json_schema' } }, 'response_format'],
  ['two choices', { n: 2 }, 'n'],
  ['the best of two', { best_of: 2 }, 'best_of'],
  ['audio output', { modalities: ['text', 'audio'], audio: { voice: 'x', format: 'wav' } }, 'audio'],
  ['a web search', { web_search_options: {} }, 'web_search_options'],
  ['an image', { messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, image] }] }, 'messages'],
  ['an image in a tool result', { messages: [{ role: 'tool', tool_call_id: 'c', content: [image] }] }, 'messages'],
  ['audio input', { messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }] }, 'messages'],
  ['a file', { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'f' } }] }] }, 'messages'],
];

for (const [name, body, param] of unsupported) {
  test(`unsupported by local models, streaming or not: ${name}`, async () => {
    for (const stream of [false, true]) {
      const { status, text, prompt } = await chat({ ...body, stream });
      const { error } = JSON.parse(text) as { error: object };
      assert.equal(status, 400);
      assert.deepEqual({ ...error, message: '' }, { message: '', type: 'invalid_request_error', param, code: 'unsupported_value' });
      assert.equal(prompt, null);
    }
  });
}

test('tool_choice none, format text and n 1 are accepted', async () => {
  const tools = [{ type: 'function', function: { name: 'f' } }];
  const bodies = [
    { tools, tool_choice: 'none' },
    { functions: [{ name: 'f' }], function_call: 'none' },
    { response_format: { type: 'text' }, n: 1, best_of: 1, tools: [], modalities: ['text'], web_search_options: null },
    { response_format: null, logprobs: true, logit_bias: { 1: 1 }, user: 'u', metadata: { a: 'b' } },
  ];
  for (const body of bodies) assert.equal((await chat(body)).status, 200, JSON.stringify(body));
});

test('invalid bodies and unsupported paths are rejected', async () => {
  const codes: [Promise<Result>, number, string, string | null][] = [
    [run('/embeddings', { input: 'a' }), 501, 'unsupported_endpoint', null],
    [run('/chat/completions', '[1]'), 400, 'invalid_request', null],
    [run('/chat/completions', '{'), 400, 'invalid_request', null],
    [run('/chat/completions', {}), 400, 'invalid_request', 'messages'],
    [run('/chat/completions', { messages: 'x' }), 400, 'invalid_request', 'messages'],
    [run('/completions', {}), 400, 'unsupported_value', 'prompt'],
    [run('/completions', { prompt: ['a', 'b'] }), 400, 'unsupported_value', 'prompt'],
    [run('/completions', { prompt: [1, 2] }), 400, 'unsupported_value', 'prompt'],
    [run('/completions', { prompt: 'a', tools: [{ type: 'function' }] }), 400, 'unsupported_value', 'tools'],
    [run('/chat/completions', `"${'x'.repeat(8 * 1024 * 1024)}"`), 413, 'context_length_exceeded', 'messages'],
  ];
  for (const [result, status, code, param] of codes) {
    const { status: found, text } = await result;
    const { error } = JSON.parse(text) as { error: { code: string; param: string | null } };
    assert.deepEqual([found, error.code, error.param], [status, code, param]);
  }
});

test('a conversation becomes text with roles, tool results and refusals, without reasoning and tool calls', async () => {
  const call = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } };
  const messages = [
    { role: 'system', content: 's' },
    { role: 'developer', content: 'd' },
    { role: 'user', content: [{ type: 'text', text: 'a' }, 'b'] },
    { role: 'assistant', content: null, reasoning_content: 'hm', tool_calls: [call] },
    { role: 'tool', tool_call_id: 'c1', content: '42' },
    { role: 'assistant', content: '', refusal: 'no' },
    { role: 'critic', content: 'x' },
    { content: 'y' },
    'not a message',
  ];
  const { prompt } = await chat({ messages });
  assert.deepEqual(
    prompt?.messages.map(({ role, content }) => `${role}: ${content}`),
    ['system: s', 'system: d', 'user: a\nb', 'assistant: ', 'tool: 42', 'assistant: no', 'user: x', 'user: y'],
  );
});

test('non-numeric or out-of-range options fall back to the defaults of the engine', async () => {
  const stop = Array.from({ length: 20 }, (_, i) => (i === 0 ? '' : `s${i}`));
  const odd = await chat({ max_tokens: 0, temperature: 'x', n: 1.5, top_p: null, seed: '3', stop });
  assert.deepEqual(
    { ...odd.prompt, messages: [] },
    {
      messages: [],
      isBare: false,
      maxTokens: null,
      temperature: null,
      topP: null,
      seed: null,
      stop: stop.slice(1, 17),
    },
  );
  const { prompt } = await chat({ max_tokens: 5, max_completion_tokens: 7, temperature: 0, seed: -1 });
  assert.deepEqual([prompt?.maxTokens, prompt?.temperature, prompt?.seed], [7, 0, -1]);
});

test('an engine failure is an error response before the first text, a truncated stream after it', async () => {
  const failure = new Error('no such layer\nsecond line');
  for (const [stream, texts] of [
    [false, ['a']],
    [true, []],
  ] as const) {
    const { status, text } = await chat({ stream }, { texts, failure });
    assert.equal(status, 500);
    const error = { message: 'offline/m failed: no such layer', type: 'server_error', param: null, code: 'engine_failed' };
    assert.equal(text, JSON.stringify({ error }));
  }
  const late = await chat({ stream: true }, { texts: ['a'], failure });
  assert.equal(late.error, failure);
  assert.doesNotMatch(late.text, /DONE|"finish_reason":"/);
});

test('a stopped call has an unterminated response', async () => {
  const { text, error } = await chat({ stream: true }, { stoppedAfter: 1 });
  assert.match(text, /The harbour/);
  assert.doesNotMatch(text, /is new|DONE|"finish_reason":"/);
  assert.equal(error, null);
  assert.equal((await chat({}, { stoppedAfter: 1 })).text, '');
});
