/** The SDKs of OpenAI (Responses) and Google over real sockets, each before a Storm of every protocol. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { FunctionCallingConfigMode, GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { startWorld } from './world.ts';
import type { World } from './world.ts';

const PROTOCOLS = ['openai', 'anthropic', 'gemini'] as const;
const TEXT = 'größer 港口 🌊 calm.';
const schema = { type: 'object', properties: { at: { type: 'string' } }, required: ['at'], additionalProperties: false };

function start(t: TestContext, protocol: (typeof PROTOCOLS)[number]): Promise<World> {
  const model = protocol === 'anthropic' ? 'claude-sonnet-4-5' : protocol === 'gemini' ? 'gemini-2.5-pro' : 'gpt-4o';
  return startWorld(t, { storms: { a: {} }, providers: { a: { protocol } }, models: { fast: [`a/${model}`] } });
}

const openaiOf = ({ url }: World): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0, logLevel: 'off' });
const googleOf = ({ url }: World): GoogleGenAI => new GoogleGenAI({ apiKey: 'unused', httpOptions: { baseUrl: url, timeout: 20_000 } });

for (const protocol of PROTOCOLS) {
  describe(`OpenAI's SDK for Responses before a ${protocol} provider`, () => {
    it('gets responses, refers to them, finds and deletes them', async (t) => {
      const world = await start(t, protocol);
      const openai = openaiOf(world);
      const first = await openai.responses.create({ model: 'fast', input: `echo ${TEXT}` });
      assert.equal(first.output_text, TEXT);
      assert.equal(first.status, 'completed');
      assert.ok(first.usage!.input_tokens > 0 && first.usage!.output_tokens > 0);

      const second = await openai.responses.create({ model: 'fast', input: 'and more', previous_response_id: first.id });
      assert.equal(second.previous_response_id, first.id);
      assert.ok(second.usage!.input_tokens > first.usage!.input_tokens, 'the conversation was sent');

      assert.equal((await openai.responses.retrieve(first.id)).id, first.id);
      const items = await openai.responses.inputItems.list(second.id, { order: 'asc' });
      assert.deepEqual(
        items.data.map(({ type }) => type ?? 'message'),
        ['message', 'message', 'message'],
      );
      await openai.responses.delete(first.id);
      await assert.rejects(async () => await openai.responses.retrieve(first.id), OpenAI.NotFoundError);
    });

    it('reads a stream, and calls a tool whose result goes back', async (t) => {
      const world = await start(t, protocol);
      const openai = openaiOf(world);
      const stream = openai.responses.stream({ model: 'fast', input: `echo ${TEXT}` });
      let text = '';
      const numbers: number[] = [];
      for await (const event of stream) {
        numbers.push(event.sequence_number);
        if (event.type === 'response.output_text.delta') text += event.delta;
      }
      assert.equal(text, TEXT);
      assert.equal((await stream.finalResponse()).output_text, TEXT);
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );

      const tools = [{ type: 'function' as const, name: 'tide', parameters: schema, strict: true }];
      const called = await openai.responses.create({ model: 'fast', input: 'the tide?', tools, tool_choice: 'required' });
      const call = called.output.find((item) => item.type === 'function_call')!;
      assert.equal(call.name, 'tide');
      assert.equal(typeof (JSON.parse(call.arguments) as { at: unknown }).at, 'string');
      const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'high' };
      const answered = await openai.responses.create({ model: 'fast', input: [result], previous_response_id: called.id, tools });
      assert.equal(answered.status, 'completed');
      assert.equal(world.storms['a']!.stats().calls, 3);
    });
  });

  describe(`Google's SDK before a ${protocol} provider`, () => {
    it('gets responses, streams, counts and calls', async (t) => {
      const world = await start(t, protocol);
      const google = googleOf(world);
      const asked = { model: 'fast', contents: `echo ${TEXT}` };
      const plain = await google.models.generateContent(asked);
      assert.equal(plain.text, TEXT);
      assert.equal(plain.candidates![0]!.finishReason, 'STOP');
      assert.ok(plain.usageMetadata!.promptTokenCount! > 0 && plain.usageMetadata!.candidatesTokenCount! > 0);

      let text = '';
      for await (const chunk of await google.models.generateContentStream(asked)) text += chunk.text ?? '';
      assert.equal(text, TEXT);

      assert.ok((await google.models.countTokens(asked)).totalTokens! > 0);
      const called = await google.models.generateContent({
        ...asked,
        config: {
          tools: [{ functionDeclarations: [{ name: 'tide', parametersJsonSchema: schema }] }],
          toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
        },
      });
      assert.equal(called.functionCalls![0]!.name, 'tide');
      const answered = await google.models.generateContent({
        model: 'fast',
        contents: [
          { role: 'user', parts: [{ text: 'the tide?' }] },
          called.candidates![0]!.content!,
          { role: 'user', parts: [{ functionResponse: { name: 'tide', response: { output: 'high' } } }] },
        ],
        config: { tools: [{ functionDeclarations: [{ name: 'tide', parametersJsonSchema: schema }] }] },
      });
      assert.equal(answered.candidates![0]!.finishReason, 'STOP');
    });
  });
}
