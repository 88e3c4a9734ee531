import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { IMAGE_TOKENS, PAGE_TOKENS } from './json-media.ts';
import { decodeRequest } from './decode-request.ts';
import { scanObject } from './json-scan.ts';
import { DIALECTS } from './dialects.ts';
import type { JsonOperation } from './decode-request.ts';
import type { RequestFacts } from '../core/request.ts';

const messages = [{ role: 'user', content: 'Hello' }];

function decode(operation: JsonOperation, value: unknown): ReturnType<typeof decodeRequest> {
  return decodeRequest(DIALECTS['openai-chat'], operation, Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
}

function factsOf(operation: JsonOperation, value: unknown): RequestFacts {
  const decoded = decode(operation, value);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.facts;
}

const chat = (fields: object): RequestFacts => factsOf('chat', { model: 'm', messages, ...fields });

function faultOf(operation: JsonOperation, value: unknown): string | null {
  const decoded = decode(operation, value);
  assert.ok(!decoded.ok);
  assert.ok(decoded.message.length > 0);
  return decoded.param;
}

test('reads the facts of a full chat request', () => {
  const facts = chat({
    stream: true,
    stream_options: { include_usage: true },
    max_completion_tokens: 100,
    max_tokens: 7,
    n: 2,
    tools: [{ type: 'function', function: { name: 'f' } }],
    response_format: { type: 'json_object' },
    reasoning_effort: 'high',
    prompt_cache_key: 'k"1',
    service_tier: 'flex',
  });
  const { inputTokens, ...rest } = facts;
  assert.ok(inputTokens > 0);
  assert.deepEqual(rest, {
    operation: 'chat',
    model: 'm',
    stream: true,
    wantsUsage: true,
    choices: 2,
    outputBound: 200,
    usesReasoning: true,
    hasTools: true,
    hasResponseFormat: true,
    cacheKey: 'k"1',
    serviceTier: 'flex',
  });
});

test('has neutral defaults', () => {
  const { inputTokens, ...rest } = chat({ tools: [], stream: null });
  assert.equal(inputTokens, Math.ceil((JSON.stringify(messages).length + 2) / 4));
  assert.deepEqual(rest, {
    operation: 'chat',
    model: 'm',
    stream: false,
    wantsUsage: false,
    choices: 1,
    outputBound: null,
    usesReasoning: false,
    hasTools: false,
    hasResponseFormat: false,
    cacheKey: null,
    serviceTier: null,
  });
});

test('reads the number of choices requested', () => {
  assert.equal(chat({ n: 3 }).choices, 3);
  assert.equal(chat({ n: 0 }).choices, 1);
  const facts = factsOf('completions', { model: 'm', prompt: ['a', 'b'], n: 2, best_of: 5 });
  assert.equal(facts.choices, 4);
});

test('refuses anything but a JSON object with the required fields, and names the field', () => {
  assert.equal(faultOf('chat', '{"model":"m"'), null);
  assert.equal(faultOf('chat', ''), null);
  assert.equal(faultOf('chat', '[]'), null);
  assert.equal(faultOf('chat', { messages }), 'model');
  assert.equal(faultOf('chat', { model: '', messages }), 'model');
  assert.equal(faultOf('chat', { model: 5, messages }), 'model');
  assert.equal(faultOf('chat', '{"model":"a","messages":[],"model":"b"}'), 'model');
  assert.equal(faultOf('chat', '{"model":"a","messages":[],"mod\\u0065l":"a"}'), 'model');
  assert.equal(faultOf('chat', { model: 'm', messages, stream: 'true' }), 'stream');
  assert.equal(faultOf('chat', { model: 'm' }), 'messages');
  assert.equal(faultOf('chat', { model: 'm', messages: 'hi' }), 'messages');
  assert.equal(faultOf('embeddings', { model: 'm' }), 'input');
});

test('leaves everything else to the provider', () => {
  assert.equal(factsOf('chat', { model: 'm', messages: [], temperature: 'hot', n: -1, tools: 5, stop: {} }).hasTools, false);
  assert.equal(factsOf('completions', { model: 'm' }).model, 'm');
});

test('removes the byte order mark from the body', () => {
  const decoded = decodeRequest(DIALECTS['openai-chat'], 'chat', Buffer.from('\ufeff{"model":"m","messages":[]}'));
  assert.ok(decoded.ok);
  assert.equal(decoded.body.bytes[0], 0x7b);
  assert.equal(decoded.body.members[0]?.keyStart, 1);
});

test('the output bound covers all choices, and invalid bounds are ignored', () => {
  assert.equal(chat({ max_tokens: 10 }).outputBound, 10);
  assert.equal(chat({ max_tokens: 10, n: 3 }).outputBound, 30);
  assert.equal(factsOf('chat', '{"model":"m","messages":[],"max_tokens":1.5e3}').outputBound, 1500);
  for (const nonsense of [-1, 1.5, '10', null, 1e300, {}]) assert.equal(chat({ max_tokens: nonsense }).outputBound, null);
  assert.equal(chat({ max_tokens: 9e15, n: 9e15 }).outputBound, 10_000_000);
  const bound = (fields: object): number | null => factsOf('completions', { model: 'm', max_tokens: 10, ...fields }).outputBound;
  assert.equal(bound({ prompt: 'a', best_of: 4, n: 2 }), 40);
  assert.equal(bound({ prompt: ['a', 'b', 'c'] }), 30);
  assert.equal(bound({ prompt: [1, 2, 3] }), 10);
  assert.equal(bound({ prompt: [[1, 2], [3]] }), 20);
  assert.equal(factsOf('embeddings', { model: 'm', input: 'a' }).outputBound, 0);
});

test('counts media at constants and never by their base64 bytes', () => {
  const data = 'QUJD'.repeat(50_000);
  const tokens = (part: unknown): number =>
    chat({ messages: [{ role: 'user', content: [{ type: 'text', text: 'What is it?' }, part] }] }).inputTokens;
  const image = tokens({ type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } });
  assert.ok(image >= IMAGE_TOKENS && image < IMAGE_TOKENS + 60, `${image}`);
  const linked = tokens({ type: 'image_url', image_url: { url: 'https://example.com/cat.png', detail: 'low' } });
  assert.ok(linked >= IMAGE_TOKENS && linked < IMAGE_TOKENS + 60, `${linked}`);
  const document = tokens({ type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${data}` } });
  assert.ok(document >= 3 * PAGE_TOKENS && document < 3 * PAGE_TOKENS + 60, `${document}`);
  const stored = tokens({ type: 'file', file: { file_id: 'file-1' } });
  assert.ok(stored >= PAGE_TOKENS && stored < PAGE_TOKENS + 60, `${stored}`);
  const audio = tokens({ type: 'input_audio', input_audio: { data, format: 'mp3' } });
  assert.ok(audio >= 100 && audio < 160, `${audio}`);
});

test('counts text by its bytes, wherever it is', () => {
  const text = 'data: not a picture, only words. '.repeat(1000);
  for (const content of [text, [{ type: 'text', text }]]) {
    const { inputTokens } = chat({ messages: [{ role: 'user', content }] });
    assert.ok(inputTokens > text.length / 4 && inputTokens < text.length / 4 + 30, `${inputTokens}`);
  }
  assert.ok(chat({ tools: [{ description: text }] }).inputTokens > text.length / 4);
  assert.ok(chat({ documents: [text] }).inputTokens > text.length / 4);
  assert.ok(chat({ metadata: { note: text } }).inputTokens < 100);
});

test('counts token ids one by one', () => {
  assert.equal(factsOf('embeddings', { model: 'm', input: [15496, 11, 995] }).inputTokens, 3);
  assert.equal(factsOf('completions', { model: 'm', prompt: [[1, 2], [3]] }).inputTokens, 3);
});

test('recognizes the ways to request reasoning', () => {
  const yes = [
    { reasoning_effort: 'low' },
    { reasoning: { effort: 'high' } },
    { reasoning: { max_tokens: 2000 } },
    { reasoning: { enabled: true } },
    { thinking: { type: 'enabled', budget_tokens: 1024 } },
    { thinking: { type: 'adaptive' } },
    { enable_thinking: true },
    { chat_template_kwargs: { enable_thinking: true } },
  ];
  const no = [
    { reasoning_effort: 'none' },
    { reasoning_effort: 'minimal' },
    { reasoning_effort: null },
    { reasoning: { effort: 'none' } },
    { reasoning: { enabled: false, effort: 'high' } },
    { reasoning: null },
    { thinking: { type: 'disabled' } },
    { enable_thinking: false },
    { chat_template_kwargs: { enable_thinking: false } },
  ];
  for (const fields of yes) assert.equal(chat(fields).usesReasoning, true, JSON.stringify(fields));
  for (const fields of no) assert.equal(chat(fields).usesReasoning, false, JSON.stringify(fields));
});

test('the output bound is limited, whatever a request of any dialect states', () => {
  const boundOf = (dialect: keyof typeof DIALECTS, fields: string): number | null => {
    const bytes = Buffer.from(`{"model":"m","messages":[{"role":"user","content":"x"}],"input":"x","contents":[],${fields}}`);
    const decoded = DIALECTS[dialect].request.decode('chat', bytes, scanObject(bytes), { model: 'm', stream: false });
    assert.ok(decoded.ok, JSON.stringify(decoded));
    return decoded.facts.outputBound;
  };
  assert.equal(boundOf('gemini', '"generationConfig":{"maxOutputTokens":1e999}'), null);
  assert.equal(boundOf('gemini', '"generationConfig":{"maxOutputTokens":100,"candidateCount":2}'), 200);
  assert.equal(boundOf('gemini', '"generationConfig":{"maxOutputTokens":9e15,"candidateCount":1e9}'), 10_000_000);
  assert.equal(boundOf('gemini', '"generationConfig":{"maxOutputTokens":10,"candidateCount":2.5}'), 10);
  assert.equal(boundOf('anthropic-messages', '"max_tokens":9000000000000000'), 10_000_000);
  assert.equal(boundOf('openai-responses', '"max_output_tokens":9000000000000000'), 10_000_000);
});
