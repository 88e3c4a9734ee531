/** One response as a provider of each of the four dialects sends it, and how a client of each reads it. */
import { messageEvent, WIRES } from './dialect-wires.ts';
import type { Wire } from './dialect-wires.ts';

export const DIALECTS = ['chat', 'responses', 'messages', 'gemini'] as const;
export type DialectWord = (typeof DIALECTS)[number];

type Fields = Record<string, unknown>;

const responseMessage = { id: 'msg_1', type: 'message', role: 'assistant', status: 'completed' };
const usage = {
  input_tokens: 5,
  output_tokens: 3,
  total_tokens: 8,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens_details: { reasoning_tokens: 0 },
};
const response = { id: 'resp_1', object: 'response', created_at: 1, model: 'm', error: null, incomplete_details: null };
const item = { ...responseMessage, content: [{ type: 'output_text', text: 'one two three', annotations: [] }] };
const whole = { ...response, status: 'completed', output: [item], usage };
let number = 0;
const event = (type: string, fields: object): string => messageEvent(type, { ...fields, sequence_number: number++ });
const place = { item_id: 'msg_1', output_index: 0, content_index: 0 };

const responses: Wire = {
  head:
    event('response.created', { response: { ...response, status: 'in_progress', output: [] } }) +
    event('response.output_item.added', { output_index: 0, item: { ...responseMessage, status: 'in_progress', content: [] } }) +
    event('response.content_part.added', { ...place, part: { type: 'output_text', text: '', annotations: [] } }),
  words: ['one ', 'two ', 'three'].map((delta) => event('response.output_text.delta', { ...place, delta })),
  tail:
    event('response.output_text.done', { ...place, text: 'one two three' }) + event('response.output_item.done', { output_index: 0, item }),
  terminator: event('response.completed', { response: whole }),
  plain: JSON.stringify(whole),
  error: (type, text) => JSON.stringify({ error: { message: text, type, code: null, param: null } }),
  errorEvent: event('error', { code: 'server_error', message: 'overloaded', param: null }),
};

const geminiUsage = { promptTokenCount: 5, candidatesTokenCount: 3, totalTokenCount: 8 };
const chunk = (parts: readonly object[], more: object = {}): object => ({
  candidates: [{ content: { role: 'model', parts }, index: 0, ...more }],
  modelVersion: 'm',
  responseId: 'r1',
});
const data = (value: object): string => `data: ${JSON.stringify(value)}\r\n\r\n`;

const gemini: Wire = {
  head: data(chunk([{ text: '' }])),
  words: ['one ', 'two ', 'three'].map((text) => data(chunk([{ text }]))),
  tail: '',
  terminator: data({ ...chunk([{ text: '' }], { finishReason: 'STOP' }), usageMetadata: geminiUsage }),
  plain: JSON.stringify({ ...chunk([{ text: 'one two three' }], { finishReason: 'STOP' }), usageMetadata: geminiUsage }),
  error: (_type, text) => JSON.stringify({ error: { code: 500, message: text, status: 'INTERNAL' } }),
  errorEvent: data({ error: { code: 503, message: 'overloaded', status: 'UNAVAILABLE' } }),
};

export const FOUR_WIRES: Readonly<Record<DialectWord, Wire>> = { chat: WIRES.openai, responses, messages: WIRES.anthropic, gemini };

/** The request body and path. */
export function requestOf(dialect: DialectWord, stream: boolean): { readonly path: string; readonly body: Fields } {
  const text = 'Say something about harbours.';
  switch (dialect) {
    case 'chat':
      return {
        path: '/v1/chat/completions',
        body: {
          model: 'fast',
          messages: [{ role: 'user', content: text }],
          stream,
          ...(stream && { stream_options: { include_usage: true } }),
        },
      };
    case 'responses':
      return { path: '/v1/responses', body: { model: 'fast', input: text, stream } };
    case 'messages':
      return { path: '/v1/messages', body: { model: 'fast', max_tokens: 100, messages: [{ role: 'user', content: text }], stream } };
    case 'gemini':
      return {
        path: `/v1beta/models/fast:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
        body: { contents: [{ role: 'user', parts: [{ text }] }] },
      };
  }
}

export interface Read {
  readonly text: string;
  /** Input and output tokens; null if not reported. */
  readonly usage: readonly [number, number] | null;
  /** Whether the dialect's marker of a complete response is present. */
  readonly isWhole: boolean;
  readonly hasError: boolean;
}

/** Reads a body as the dialect's clients do. */
export function readBody(dialect: DialectWord, stream: boolean, body: string): Read {
  const values = stream ? eventsIn(body) : [JSON.parse(body) as Fields];
  const read = { text: '', usage: null as Read['usage'], isWhole: false, hasError: false };
  for (const value of values) READERS[dialect](value, stream, read);
  if (dialect === 'chat' && stream) read.isWhole &&= /data: \[DONE\]\n\n$/.test(body);
  return read;
}

type Reading = { text: string; usage: Read['usage']; isWhole: boolean; hasError: boolean };

function eventsIn(body: string): Fields[] {
  return body
    .split(/\r?\n\r?\n/)
    .flatMap((block) => block.split(/\r?\n/).filter((line) => line.startsWith('data: {')))
    .map((line) => JSON.parse(line.slice('data: '.length)) as Fields);
}

const READERS: Readonly<Record<DialectWord, (value: Fields, stream: boolean, read: Reading) => void>> = {
  chat(value, _stream, read) {
    if (value['error'] !== undefined) read.hasError = true;
    const { choices = [], usage: counted } = value as {
      choices?: { delta?: Fields; message?: Fields; finish_reason?: string | null }[];
      usage?: Fields;
    };
    for (const { delta, message, finish_reason: finish } of choices) {
      read.text += String((delta ?? message)?.['content'] ?? '');
      if (finish === 'stop') read.isWhole = true;
    }
    if (counted) read.usage = [Number(counted['prompt_tokens']), Number(counted['completion_tokens'])];
  },
  responses(value, stream, read) {
    const { type } = value;
    if (type === 'error' || type === 'response.failed' || (!stream && value['error'])) read.hasError = true;
    if (type === 'response.output_text.delta') read.text += String(value['delta']);
    const done = (stream ? value['response'] : value) as Fields | undefined;
    if (done?.['status'] !== 'completed') return;
    read.isWhole = true;
    const { input_tokens: input, output_tokens: output } = done['usage'] as Fields;
    read.usage = [Number(input), Number(output)];
    if (!stream) read.text = textOfItems(done['output'] as Fields[]);
  },
  messages(value, stream, read) {
    const { type } = value;
    if (type === 'error') read.hasError = true;
    if (type === 'content_block_delta') read.text += String((value['delta'] as Fields)['text'] ?? '');
    if (type === 'message_stop' || (type === 'message' && value['stop_reason'] === 'end_turn')) read.isWhole = true;
    const counted = (value['usage'] ?? (value['message'] as Fields | undefined)?.['usage']) as Fields | undefined;
    if (counted) read.usage = [Number(counted['input_tokens'] ?? read.usage?.[0] ?? 0), Number(counted['output_tokens'])];
    if (!stream && type === 'message') for (const block of value['content'] as Fields[]) read.text += String(block['text'] ?? '');
  },
  gemini(value, _stream, read) {
    if (value['error'] !== undefined) read.hasError = true;
    for (const candidate of (value['candidates'] ?? []) as Fields[]) {
      for (const part of ((candidate['content'] as Fields | undefined)?.['parts'] ?? []) as Fields[])
        read.text += String(part['text'] ?? '');
      if (candidate['finishReason'] === 'STOP') read.isWhole = true;
    }
    const counted = value['usageMetadata'] as Fields | undefined;
    if (counted?.['candidatesTokenCount'] !== undefined)
      read.usage = [Number(counted['promptTokenCount']), Number(counted['candidatesTokenCount'])];
  },
};

function textOfItems(items: readonly Fields[]): string {
  return items
    .flatMap((one) => (one['content'] ?? []) as Fields[])
    .map((part) => String(part['text'] ?? ''))
    .join('');
}
