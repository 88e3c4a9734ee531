/** The official SDKs that are among the packages of this project. */
import { readFileSync } from 'node:fs';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import type { Content, Part } from '@google/genai';
import OpenAI from 'openai';
import { TOOL_RESULT } from './forms.ts';
import type { Answer, Client, Question } from './forms.ts';

const schema = { type: 'object' as const, properties: { at: { type: 'string' } }, required: ['at'], additionalProperties: false };

function versionOf(name: string): string {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

const openaiOf = ({ base }: Question): OpenAI => new OpenAI({ baseURL: `${base}/v1`, apiKey: 'unused', maxRetries: 0, logLevel: 'off' });

const chat: Client = {
  name: '`openai` chat.completions',
  version: versionOf('openai'),
  async ask(question) {
    const { prompt, stream, tool } = question;
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: prompt }];
    const tools = tool ? { tools: [{ type: 'function' as const, function: { name: 'tide', parameters: schema } }] } : {};
    const once = (): Promise<OpenAI.ChatCompletion> => {
      const body = { model: 'fast', messages, max_completion_tokens: 2000, ...tools };
      const { completions } = openaiOf(question).chat;
      return stream ? completions.stream(body).finalChatCompletion() : completions.create(body);
    };
    const first = (await once()).choices[0]!.message;
    const called = first.tool_calls?.[0];
    if (called?.type !== 'function') return { text: first.content ?? '', call: null };
    messages.push(first, { role: 'tool', tool_call_id: called.id, content: TOOL_RESULT });
    return { text: (await once()).choices[0]!.message.content ?? '', call: JSON.parse(called.function.arguments) };
  },
};

const responses: Client = {
  name: '`openai` responses',
  version: versionOf('openai'),
  async ask(question) {
    const { prompt, stream, tool } = question;
    const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: prompt }];
    const tools = tool ? { tools: [{ type: 'function' as const, name: 'tide', parameters: schema, strict: true }] } : {};
    const once = (): Promise<OpenAI.Responses.Response> => {
      const body = { model: 'fast', input, ...tools };
      const api = openaiOf(question).responses;
      return stream ? api.stream(body).finalResponse() : api.create(body);
    };
    const first = await once();
    const called = first.output.find((item) => item.type === 'function_call');
    if (called === undefined) return { text: first.output_text, call: null };
    input.push(...(first.output as OpenAI.Responses.ResponseInput), {
      type: 'function_call_output',
      call_id: called.call_id,
      output: TOOL_RESULT,
    });
    return { text: (await once()).output_text, call: JSON.parse(called.arguments) };
  },
};

const anthropic: Client = {
  name: '`@anthropic-ai/sdk`',
  version: versionOf('@anthropic-ai/sdk'),
  async ask({ base, prompt, stream, tool }) {
    const client = new Anthropic({ baseURL: base, apiKey: 'unused', maxRetries: 0, logLevel: 'off' });
    const messages: Anthropic.MessageParam[] = [{ role: 'user', content: prompt }];
    const tools = tool ? { tools: [{ name: 'tide', input_schema: schema }] } : {};
    const once = (): Promise<Anthropic.Message> => {
      const body = { model: 'fast', max_tokens: 2000, messages, ...tools };
      return stream ? client.messages.stream(body).finalMessage() : client.messages.create(body);
    };
    const textOf = ({ content }: Anthropic.Message): string => content.map((block) => (block.type === 'text' ? block.text : '')).join('');
    const first = await once();
    const called = first.content.find((block) => block.type === 'tool_use');
    if (called === undefined) return { text: textOf(first), call: null };
    const result = { type: 'tool_result' as const, tool_use_id: called.id, content: TOOL_RESULT };
    messages.push({ role: 'assistant', content: first.content }, { role: 'user', content: [result] });
    return { text: textOf(await once()), call: called.input };
  },
};

const google: Client = {
  name: '`@google/genai`',
  version: versionOf('@google/genai'),
  async ask({ base, prompt, stream, tool }): Promise<Answer> {
    const { models } = new GoogleGenAI({ apiKey: 'unused', httpOptions: { baseUrl: base, timeout: 20_000 } });
    const contents: Content[] = [{ role: 'user', parts: [{ text: prompt }] }];
    const config = tool ? { tools: [{ functionDeclarations: [{ name: 'tide', parametersJsonSchema: schema }] }] } : {};
    const once = async (): Promise<Part[]> => {
      const asked = { model: 'fast', contents, config };
      if (!stream) return (await models.generateContent(asked)).candidates![0]!.content?.parts ?? [];
      const parts: Part[] = [];
      for await (const { candidates } of await models.generateContentStream(asked)) parts.push(...(candidates?.[0]?.content?.parts ?? []));
      return parts;
    };
    const textOf = (parts: readonly Part[]): string => parts.map(({ text, thought }) => (thought === true ? '' : (text ?? ''))).join('');
    const first = await once();
    const called = first.find(({ functionCall }) => functionCall !== undefined)?.functionCall;
    if (called === undefined) return { text: textOf(first), call: null };
    const { id, name } = called;
    const functionResponse = { ...(id !== undefined && { id }), name: name!, response: { output: TOOL_RESULT } };
    contents.push({ role: 'model', parts: first }, { role: 'user', parts: [{ functionResponse }] });
    return { text: textOf(await once()), call: called.args };
  },
};

export const SDK_CLIENTS: readonly Client[] = [chat, responses, anthropic, google];
