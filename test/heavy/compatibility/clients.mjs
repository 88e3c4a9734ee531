/** Vercel's AI SDK and LangChain, one question a line: `{client, base, stream, prompt, tool, result}` in, `{text, call}` or `{error}` out. */
import { createInterface } from 'node:readline';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatAnthropic } from '@langchain/anthropic';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool as langchainTool } from '@langchain/core/tools';
import { ChatGoogleGenerativeAI } from '@langchain/google-genai';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, isStepCount, stepCountIs, streamText, tool as vercelTool } from 'ai';
import { z } from 'zod';

const inputSchema = z.object({ at: z.string() });
const apiKey = 'unused';

/** @param {(base: string) => unknown} model */
function vercel(model) {
  return async ({ base, stream, prompt, tool, result }) => {
    let call = null;
    const execute = (input) => {
      call = input;
      return result;
    };
    const tools = tool ? { tools: { tide: vercelTool({ inputSchema, execute }) }, stopWhen: (isStepCount ?? stepCountIs)(3) } : {};
    const asked = { model: model(base), prompt, maxRetries: 0, ...tools };
    if (!stream) return { text: (await generateText(asked)).text, call };
    let error = null;
    const streamed = streamText({ ...asked, onError: (event) => (error = event.error) });
    let text = '';
    for await (const part of streamed.textStream) text += part;
    if (error !== null) throw new Error(String(error), { cause: error });
    if (tool) text = await streamed.text;
    return { text, call };
  };
}

/** @param {(base: string, stream: boolean) => any} model */
function langchain(model) {
  return async ({ base, stream, prompt, tool, result }) => {
    const plain = model(base, stream);
    const tide = langchainTool(() => result, { name: 'tide', description: 'The tide', schema: inputSchema });
    const bound = tool ? plain.bindTools([tide]) : plain;
    const once = async (messages) => {
      if (!stream) return bound.invoke(messages);
      let whole;
      for await (const chunk of await bound.stream(messages)) whole = whole === undefined ? chunk : whole.concat(chunk);
      return whole;
    };
    const textOf = ({ text }) => (typeof text === 'function' ? text() : text);
    const messages = [new HumanMessage(prompt)];
    const first = await once(messages);
    const called = first.tool_calls?.[0];
    if (called === undefined) return { text: textOf(first), call: null };
    messages.push(first, new ToolMessage({ content: result, tool_call_id: called.id, name: 'tide' }));
    return { text: textOf(await once(messages)), call: called.args };
  };
}

const CLIENTS = {
  'ai openai responses': vercel((base) => createOpenAI({ baseURL: `${base}/v1`, apiKey }).responses('fast')),
  'ai openai chat': vercel((base) => createOpenAI({ baseURL: `${base}/v1`, apiKey }).chat('fast')),
  'ai openai-compatible': vercel((base) => createOpenAICompatible({ name: 'breakwater', baseURL: `${base}/v1`, apiKey })('fast')),
  'ai anthropic': vercel((base) => createAnthropic({ baseURL: `${base}/v1`, apiKey })('fast')),
  'ai google': vercel((base) => createGoogleGenerativeAI({ baseURL: `${base}/v1beta`, apiKey })('fast')),
  'langchain openai': langchain(
    (base) => new ChatOpenAI({ model: 'fast', apiKey, maxRetries: 0, configuration: { baseURL: `${base}/v1` } }),
  ),
  'langchain anthropic': langchain(
    (base) => new ChatAnthropic({ model: 'fast', apiKey, anthropicApiUrl: base, maxRetries: 0, maxTokens: 2000 }),
  ),
  'langchain google': langchain((base) => new ChatGoogleGenerativeAI({ model: 'fast', apiKey, baseUrl: base, maxRetries: 0 })),
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  let answer;
  try {
    answer = await CLIENTS[question.client](question);
  } catch (error) {
    answer = { error: String(error?.stack ?? error).slice(0, 600) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
