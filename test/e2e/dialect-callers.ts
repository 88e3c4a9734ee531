/** One question asked by the official SDK of either dialect, and what came back in words that both have in common. */
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

export const CALLERS = ['openai', 'anthropic'] as const;
export type CallerName = (typeof CALLERS)[number];

export interface Question {
  readonly stream: boolean;
  /** Members of the dialect's own body, in place of the usual ones. */
  readonly body?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Heard {
  text: string;
  reasoning: string;
  calls: { id: string; name: string; input: unknown }[];
  /** The dialect's own word; null: the response did not come to its end. */
  stop: string | null;
  /** Input with what the cache gave, cached input, output; null: not reported. */
  usage: readonly [number, number, number] | null;
  /** Null: the SDK has the whole response. */
  error: HeardError | null;
  headers: Headers;
  /** The body as it came. */
  raw: string;
}

export interface HeardError {
  /** The SDK's class. */
  readonly name: string;
  /** Undefined: it came inside a stream. */
  readonly status: number | undefined;
  readonly message: string;
  /** The dialect's word for its kind. */
  readonly type: string | null | undefined;
  readonly code: string | null | undefined;
  readonly requestId: string | null | undefined;
}

const TEXT = 'Say something about harbours.';
const USUAL: Readonly<Record<CallerName, object>> = {
  openai: { messages: [{ role: 'user', content: TEXT }], max_tokens: 200 },
  anthropic: { messages: [{ role: 'user', content: TEXT }], max_tokens: 200 },
};

/** `base`: the gateway's origin; `via`: how it is reached. */
export async function askBy(caller: CallerName, base: string, via: typeof fetch, question: Question): Promise<Heard> {
  const heard: Heard = { text: '', reasoning: '', calls: [], stop: null, usage: null, error: null, headers: new Headers(), raw: '' };
  let body: Promise<string> | null = null;
  const tapped: typeof fetch = async (input, init) => {
    const response = await via(input, init);
    heard.headers = response.headers;
    body = response
      .clone()
      .text()
      .catch(() => 'broken');
    return response;
  };
  try {
    await (caller === 'openai' ? askOpenai : askAnthropic)(base, tapped, question, heard);
  } catch (error) {
    heard.error = errorOf(error);
  }
  heard.raw = (await (body as Promise<string> | null)) ?? '';
  return heard;
}

async function askOpenai(base: string, via: typeof fetch, { stream, body, headers = {} }: Question, heard: Heard): Promise<void> {
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'unused', maxRetries: 0, fetch: via, logLevel: 'off' });
  const asked = { model: 'fast', ...USUAL.openai, ...body } as OpenAI.Chat.ChatCompletionCreateParamsNonStreaming;
  if (stream) {
    const chunks = await client.chat.completions.create(
      { ...asked, stream: true, stream_options: { include_usage: true } },
      { headers: { ...headers } },
    );
    const fragments: { id: string; name: string; text: string }[] = [];
    for await (const { choices, usage } of chunks) {
      if (usage) heard.usage = usageOf(usage);
      const [choice] = choices;
      if (choice === undefined) continue;
      const { delta } = choice;
      heard.text += delta.content ?? '';
      heard.reasoning += (delta as { reasoning_content?: string }).reasoning_content ?? '';
      for (const { index, id, function: called } of delta.tool_calls ?? []) {
        const fragment = (fragments[index] ??= { id: id ?? '', name: called?.name ?? '', text: '' });
        fragment.text += called?.arguments ?? '';
      }
      heard.stop = choice.finish_reason ?? heard.stop;
    }
    heard.calls = fragments.map(({ id, name, text }) => ({ id, name, input: JSON.parse(text) as unknown }));
    return;
  }
  const { choices, usage } = await client.chat.completions.create(asked, { headers: { ...headers } });
  const { message, finish_reason: stop } = choices[0]!;
  heard.text = message.content ?? '';
  heard.reasoning = (message as { reasoning_content?: string }).reasoning_content ?? '';
  heard.calls = (message.tool_calls ?? []).flatMap((call) =>
    call.type === 'function' ? [{ id: call.id, name: call.function.name, input: JSON.parse(call.function.arguments) as unknown }] : [],
  );
  heard.stop = stop;
  if (usage) heard.usage = usageOf(usage);
}

function usageOf({ prompt_tokens: input, completion_tokens: output, prompt_tokens_details: details }: OpenAI.CompletionUsage) {
  return [input, details?.cached_tokens ?? 0, output] as const;
}

async function askAnthropic(base: string, via: typeof fetch, { stream, body, headers = {} }: Question, heard: Heard): Promise<void> {
  const client = new Anthropic({ baseURL: base, apiKey: 'unused', maxRetries: 0, fetch: via, logLevel: 'off' });
  const asked = { model: 'fast', ...USUAL.anthropic, ...body } as Anthropic.MessageCreateParamsNonStreaming;
  let message: Anthropic.Message;
  if (stream) {
    const events = client.messages.stream(asked, { headers: { ...headers } });
    events.on('text', (text) => (heard.text += text));
    events.on('thinking', (text) => (heard.reasoning += text));
    message = await events.finalMessage();
    heard.text = '';
    heard.reasoning = '';
  } else message = await client.messages.create(asked, { headers: { ...headers } });
  for (const block of message.content) {
    if (block.type === 'text') heard.text += block.text;
    else if (block.type === 'thinking') heard.reasoning += block.thinking;
    else if (block.type === 'tool_use') heard.calls.push({ id: block.id, name: block.name, input: block.input });
  }
  heard.stop = message.stop_reason;
  const { input_tokens: input, cache_read_input_tokens: read, cache_creation_input_tokens: written, output_tokens: output } = message.usage;
  heard.usage = [input + (read ?? 0) + (written ?? 0), read ?? 0, output];
}

function errorOf(thrown: unknown): HeardError {
  if (thrown instanceof OpenAI.APIError) {
    const { status, message, type, code, requestID } = thrown;
    return { name: thrown.constructor.name, status, message, type, code, requestId: requestID };
  }
  if (thrown instanceof Anthropic.APIError) {
    const { status, message, error, requestID } = thrown;
    const type = (error as { error?: { type?: string } } | undefined)?.error?.type;
    return { name: thrown.constructor.name, status: status as number | undefined, message, type, code: null, requestId: requestID };
  }
  const { constructor, message } = thrown as Error;
  return { name: constructor.name, status: undefined, message, type: undefined, code: undefined, requestId: undefined };
}
