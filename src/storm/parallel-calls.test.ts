/** Several calls in one response, as each official SDK reads them, with and without streaming. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import type { Storm } from './index.ts';
import { collect, openStorm } from './sdk.fixture.ts';

const ASK = 'call f {"a": 1}\ncall g {"b": 2}';
const CALLS = [
  ['f', { a: 1 }],
  ['g', { b: 2 }],
];
const schema = { type: 'object' as const };

let storm: Storm;
let openai: OpenAI;
before(async () => {
  storm = await openStorm();
  openai = new OpenAI({ baseURL: storm.url, apiKey: 'k', maxRetries: 0 });
});
after(() => storm.close());

const origin = () => `http://127.0.0.1:${storm.port}`;
const parsed = (name: string, json: string): unknown => [name, JSON.parse(json)];

/** Asserts that every call has a unique id. */
function distinct(ids: readonly (string | undefined)[]): void {
  assert.equal(new Set(ids).size, CALLS.length);
}

test('OpenAI chat', async () => {
  const tools = ['f', 'g'].map((name) => ({ type: 'function' as const, function: { name, parameters: schema } }));
  const body = { model: 'm', messages: [{ role: 'user' as const, content: ASK }], tools };
  for (const completion of [await openai.chat.completions.create(body), await openai.chat.completions.stream(body).finalChatCompletion()]) {
    const calls = completion.choices[0]!.message.tool_calls!.flatMap((call) => (call.type === 'function' ? [call] : []));
    assert.deepEqual(
      calls.map(({ function: { name, arguments: json } }) => parsed(name, json)),
      CALLS,
    );
    distinct(calls.map(({ id }) => id));
  }
});

test('OpenAI Responses', async () => {
  const tools = ['f', 'g'].map((name) => ({ type: 'function' as const, name, parameters: schema, strict: false }));
  const body = { model: 'm', input: ASK, tools };
  for (const response of [await openai.responses.create(body), await openai.responses.stream(body).finalResponse()]) {
    const calls = response.output.flatMap((item) => (item.type === 'function_call' ? [item] : []));
    assert.deepEqual(
      calls.map(({ name, arguments: json }) => parsed(name, json)),
      CALLS,
    );
    distinct(calls.map(({ call_id: id }) => id));
    distinct(calls.map(({ id }) => id));
    const outputs = calls.map(({ call_id }) => ({ type: 'function_call_output' as const, call_id, output: 'x' }));
    assert.equal((await openai.responses.create({ ...body, previous_response_id: response.id, input: outputs })).status, 'completed');
  }
});

test('Anthropic Messages', async () => {
  const client = new Anthropic({ baseURL: origin(), apiKey: 'k', maxRetries: 0 });
  const tools = ['f', 'g'].map((name) => ({ name, input_schema: schema }));
  const body = { model: 'm', max_tokens: 1000, messages: [{ role: 'user' as const, content: ASK }], tools };
  for (const message of [await client.messages.create(body), await client.messages.stream(body).finalMessage()]) {
    const calls = message.content.flatMap((block) => (block.type === 'tool_use' ? [block] : []));
    assert.deepEqual(
      calls.map(({ name, input }) => [name, input]),
      CALLS,
    );
    distinct(calls.map(({ id }) => id));
  }
});

test('Gemini, which signs only the first call', async () => {
  const client = new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: origin() } });
  const functionDeclarations = ['f', 'g'].map((name) => ({ name, parametersJsonSchema: schema }));
  const asked = { model: 'm', contents: ASK, config: { tools: [{ functionDeclarations }], thinkingConfig: { thinkingBudget: 1000 } } };
  for (const chunks of [[await client.models.generateContent(asked)], await collect(await client.models.generateContentStream(asked))]) {
    const parts = chunks.flatMap(({ candidates }) => candidates![0]!.content?.parts ?? []).filter(({ functionCall }) => functionCall);
    assert.deepEqual(
      parts.map(({ functionCall }) => [functionCall!.name, functionCall!.args]),
      CALLS,
    );
    distinct(parts.map(({ functionCall }) => functionCall!.id));
    assert.deepEqual(
      parts.map(({ thoughtSignature }) => thoughtSignature !== undefined),
      [true, false],
    );
  }
});
