/** The result of one chat request as the official `openai` SDK sees it: its content, or how and after how much content it fails. */
import OpenAI from 'openai';

/** One choice, assembled from a non-streaming response or from stream deltas. */
export interface Said {
  content: string;
  refusal: string;
  /** From any field. */
  reasoning: string;
  tools: { id: string | undefined; name: string; arguments: string }[];
  finish: string | null;
}

interface Common {
  /** One per choice. */
  readonly said: readonly Said[];
  /** Chunks with content. */
  readonly deltas: number;
  /** Prompt and output tokens, if reported. */
  readonly usage: readonly [number, number] | null;
  readonly headers: Headers;
  readonly ms: number;
}

export interface SdkError {
  readonly status: number | undefined;
  readonly code: string | null | undefined;
  readonly type: string | undefined;
  readonly message: string;
  /** The error object in the response. */
  readonly error: unknown;
}

/**
 * - `answer`: it ended normally
 * - `error`: an error status
 * - `in band`: the stream started, and ended with an error event
 * - `lost`: anything else, such as a broken connection, which must never occur
 */
export type SdkSeen = Common &
  (
    | { readonly end: 'answer' }
    | { readonly end: 'error' | 'in band'; readonly error: SdkError }
    | { readonly end: 'lost'; readonly why: string }
  );

type Body = Record<string, unknown>;

/** Sends one request and reads the response to its end, or leaves a stream after the given number of content chunks. */
export async function askBySdk(openai: OpenAI, body: Body, headers: Record<string, string> = {}, leaveAfter = Infinity): Promise<SdkSeen> {
  const startedAt = performance.now();
  const gathered: Gathered = { said: [], deltas: 0, usage: null, headers: new Headers() };
  const seen = () => ({ ...gathered, ms: performance.now() - startedAt });
  try {
    if (body['stream'] === true) await readStream(openai, body, headers, gathered, leaveAfter);
    else await readPlain(openai, body, headers, gathered);
    return { ...seen(), end: 'answer' };
  } catch (thrown) {
    if (!(thrown instanceof OpenAI.APIError) || thrown instanceof OpenAI.APIConnectionError)
      return { ...seen(), end: 'lost', why: String(thrown) };
    const { status, code, type, message } = thrown as InstanceType<typeof OpenAI.APIError>;
    const error = { status, code, type, message, error: (thrown as { error?: unknown }).error } as SdkError;
    if (status === undefined) return { ...seen(), end: 'in band', error };
    return { ...seen(), headers: thrown.headers as Headers, end: 'error', error };
  }
}

interface Gathered {
  said: Said[];
  deltas: number;
  usage: readonly [number, number] | null;
  headers: Headers;
}

async function readPlain(openai: OpenAI, body: Body, headers: Record<string, string>, gathered: Gathered): Promise<void> {
  const asked = openai.chat.completions.create(body as never, { headers });
  const { data, response } = await (
    asked as ReturnType<typeof openai.chat.completions.create> & Promise<OpenAI.ChatCompletion>
  ).withResponse();
  gathered.headers = response.headers;
  const answer = data as OpenAI.ChatCompletion;
  // The SDK does not validate the response: missing choices would only surprise the caller.
  for (const [position, { index, message, finish_reason: finish }] of (answer.choices ?? []).entries()) {
    const said = choiceOf(gathered, index ?? position);
    addTo(said, message);
    said.finish = finish ?? null;
  }
  gathered.deltas = gathered.said.length;
  if (answer.usage) gathered.usage = [answer.usage.prompt_tokens, answer.usage.completion_tokens];
}

async function readStream(
  openai: OpenAI,
  body: Body,
  headers: Record<string, string>,
  gathered: Gathered,
  leaveAfter: number,
): Promise<void> {
  const asked = openai.chat.completions.create({ ...body, stream: true } as never, { headers }) as unknown as {
    withResponse(): Promise<{ data: AsyncIterable<OpenAI.ChatCompletionChunk>; response: Response }>;
  };
  const { data, response } = await asked.withResponse();
  gathered.headers = response.headers;
  for await (const chunk of data) {
    let hasContent = false;
    for (const [position, { index, delta, finish_reason: finish }] of (chunk.choices ?? []).entries()) {
      const said = choiceOf(gathered, index ?? position);
      hasContent = addTo(said, delta ?? {}) || hasContent;
      said.finish = finish ?? said.finish;
    }
    if (hasContent && ++gathered.deltas >= leaveAfter) return;
    if (chunk.usage) gathered.usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens];
  }
}

interface Delta {
  content?: string | null;
  refusal?: string | null;
  reasoning?: string | null;
  reasoning_content?: string | null;
  function_call?: { name?: string; arguments?: string } | null;
  tool_calls?: { index?: number; id?: string; function?: { name?: string; arguments?: string } }[] | null;
}

function choiceOf({ said }: Gathered, index: number): Said {
  while (said.length <= index) said.push({ content: '', refusal: '', reasoning: '', tools: [], finish: null });
  return said[index]!;
}

/** True if it had any content. */
function addTo(said: Said, delta: Delta): boolean {
  said.content += delta.content ?? '';
  said.refusal += delta.refusal ?? '';
  const reasoning = delta.reasoning ?? delta.reasoning_content ?? '';
  said.reasoning += reasoning;
  const calls = delta.tool_calls ?? (delta.function_call ? [{ function: delta.function_call }] : []);
  for (const [position, call] of calls.entries()) {
    const index = call.index ?? position;
    while (said.tools.length <= index) said.tools.push({ id: undefined, name: '', arguments: '' });
    const tool = said.tools[index]!;
    if (call.id) tool.id ??= call.id;
    tool.name += call.function?.name ?? '';
    tool.arguments += call.function?.arguments ?? '';
  }
  return Boolean(delta.content) || Boolean(delta.refusal) || reasoning !== '' || calls.length > 0;
}
