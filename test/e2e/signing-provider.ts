/** Providers of signed thinking in virtual time: they verify every signature as strictly as a provider may. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import type { VirtualWorld } from './virtual.ts';

export type Block = Record<string, unknown> & { readonly type: string };
export interface Message {
  readonly role: string;
  readonly content: string | readonly Block[];
}
export interface MessagesBody extends Record<string, unknown> {
  readonly model: string;
  readonly stream?: boolean;
  readonly messages: readonly Message[];
}

export const keyIn = ({ request: { headers } }: SimulatedCall): string => {
  const at = headers.findIndex((name, i) => i % 2 === 0 && (name === 'x-api-key' || name === 'authorization'));
  return headers[at + 1]!.replace('Bearer ', '');
};

export const bodyOf = ({ body }: SimulatedCall): MessagesBody => JSON.parse(body) as MessagesBody;
export const blocksOf = ({ content }: Message): readonly Block[] => (typeof content === 'string' ? [] : content);
export const allBlocks = ({ messages }: MessagesBody): Block[] => messages.flatMap(blocksOf);
export const isThinking = ({ type }: Block): boolean => type === 'thinking' || type === 'redacted_thinking';

/** Of the account, the model, the text and all that came before it. */
export function sign(account: string, model: string, text: string, prefix = ''): string {
  return createHash('sha256').update(`${account}\n${model}\n${text}\n${prefix}`).digest('base64').repeat(8);
}

function redact(account: string, model: string, name: string): string {
  return `${name}.${sign(account, model, name)}`;
}

/** What thinking is bound to in the strictest of cases: the system text, the tools and all earlier messages. */
function prefixOf({ system, tools, messages }: MessagesBody, length: number): string {
  return JSON.stringify([system, tools, messages.slice(0, length)]);
}

export function refusal(message: string, status = 400, type = 'invalid_request_error'): SimulatedResponse {
  return {
    steps: [
      { do: 'head', status, headers: { 'content-type': 'application/json' } },
      { do: 'send', bytes: JSON.stringify({ type: 'error', error: { type, message } }) },
    ],
  };
}

/** The place of the first block that the account did not sign; null: there is none. */
function forgedIn(body: MessagesBody, account: string, isBound: boolean): string | null {
  for (const [m, message] of body.messages.entries()) {
    assert.ok(blocksOf(message).length > 0 || typeof message.content === 'string', 'no message is empty');
    for (const [b, block] of blocksOf(message).entries()) {
      const prefix = isBound ? prefixOf(body, m) : '';
      const isForged =
        (block.type === 'thinking' && block['signature'] !== sign(account, body.model, String(block['thinking']), prefix)) ||
        (block.type === 'redacted_thinking' && block['data'] !== redact(account, body.model, String(block['data']).split('.')[0]!));
      if (isForged) return `messages.${m}.content.${b}: Invalid \`signature\` in \`thinking\` block`;
    }
  }
  return null;
}

/** With a budget the last message of the model opens with thinking where it calls a tool. */
function isUnopened(body: MessagesBody, isStrict: boolean): boolean {
  const last = blocksOf(body.messages.findLast(({ role }) => role === 'assistant') ?? { role: '', content: '' });
  const type = (body['thinking'] as { type?: string } | undefined)?.type;
  const isOn = type === 'enabled' || (isStrict && type === 'adaptive');
  return isOn && last.some(({ type }) => type === 'tool_use') && !isThinking(last[0]!);
}

export interface SigningOptions {
  /** By key; default: the key is the account. */
  readonly accountOf?: (key: string) => string;
  /** Thinking is bound to everything before it. */
  readonly bound?: boolean;
  /** Adaptive thinking has to open a turn as well. */
  readonly opens?: boolean;
  /** The blocks behind the thinking. */
  readonly content?: (body: MessagesBody) => readonly Block[];
  /** How it refuses a signature; default: 400 with Anthropic's words. */
  readonly refuse?: (message: string) => SimulatedResponse;
}

/** Refuses what it did not sign; answers with thinking and text of its own, a different one for each call. */
export function signingProvider(options: SigningOptions = {}): (call: SimulatedCall) => SimulatedResponse {
  return (call) => {
    const body = bodyOf(call);
    const key = keyIn(call);
    const account = options.accountOf?.(key) ?? key;
    const forged = forgedIn(body, account, options.bound === true);
    if (forged !== null) return (options.refuse ?? refusal)(forged);
    if (isUnopened(body, options.opens === true)) return refusal('Expected `thinking` or `redacted_thinking`, but found `tool_use`.');
    const thinking = `thought ${call.number}`;
    const prefix = options.bound === true ? prefixOf(body, body.messages.length) : '';
    const content: Block[] = [
      { type: 'thinking', thinking, signature: sign(account, body.model, thinking, prefix) },
      { type: 'redacted_thinking', data: redact(account, body.model, `r${call.number}`) },
      ...(options.content?.(body) ?? [{ type: 'text', text: `answer ${call.number}` }]),
    ];
    return body.stream === true ? messageStream(body.model, content) : messageAnswer(body.model, content);
  };
}

function messageOf(model: string, content: readonly Block[]): Record<string, unknown> {
  const stop = content.some(({ type }) => type === 'tool_use') ? 'tool_use' : 'end_turn';
  const usage = { input_tokens: 5, output_tokens: 5 };
  return { id: 'msg_1', type: 'message', role: 'assistant', model, content, stop_reason: stop, stop_sequence: null, usage };
}

export function messageAnswer(model: string, content: readonly Block[]): SimulatedResponse {
  return {
    steps: [
      { do: 'head', status: 200, headers: { 'content-type': 'application/json' } },
      { do: 'send', bytes: JSON.stringify(messageOf(model, content)) },
    ],
  };
}

const event = (type: string, fields: Record<string, unknown>): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;

export function messageStream(model: string, content: readonly Block[]): SimulatedResponse {
  const { stop_reason: reason, usage, ...message } = messageOf(model, content);
  const texts = [event('message_start', { message: { ...message, content: [], stop_reason: null, usage } })];
  for (const [index, block] of content.entries()) {
    const [begun, deltas] = opened(block);
    texts.push(event('content_block_start', { index, content_block: begun }));
    for (const delta of deltas) texts.push(event('content_block_delta', { index, delta }));
    texts.push(event('content_block_stop', { index }));
  }
  texts.push(event('message_delta', { delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: 5 } }));
  texts.push(event('message_stop', {}));
  return {
    steps: [
      { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } },
      ...texts.map((bytes) => ({ do: 'send', bytes }) as const),
    ],
  };
}

function opened(block: Block): [Block, Record<string, unknown>[]] {
  if (block.type === 'text') return [{ ...block, text: '' }, [{ type: 'text_delta', text: block['text'] }]];
  if (block.type === 'tool_use')
    return [{ ...block, input: {} }, [{ type: 'input_json_delta', partial_json: JSON.stringify(block['input']) }]];
  if (block.type !== 'thinking') return [block, []];
  const deltas = [
    { type: 'thinking_delta', thinking: block['thinking'] },
    { type: 'signature_delta', signature: block['signature'] },
  ];
  return [{ ...block, thinking: '', signature: '' }, deltas];
}

export interface Turn {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Of the response, folded where it was streamed. */
  readonly blocks: readonly Block[];
}

/** Asks over `/v1/messages`, and reads the message from whichever form it comes in. */
export async function askMessages(
  world: Pick<VirtualWorld, 'fetch' | 'until'>,
  body: Record<string, unknown>,
  headers: Record<string, string> = {},
): Promise<Turn> {
  const go = async (): Promise<Turn> => {
    const response = await world.fetch('http://breakwater/v1/messages', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ max_tokens: 100, ...body }),
    });
    const text = await response.text();
    const blocks = response.status === 200 ? blocksIn(text) : [];
    return { status: response.status, headers: response.headers, text, blocks };
  };
  return world.until(go());
}

interface StreamedEvent {
  readonly type: string;
  readonly index: number;
  readonly content_block: Block;
  readonly delta: Record<string, string>;
}

function blocksIn(text: string): Block[] {
  if (text.startsWith('{')) return (JSON.parse(text) as { content: Block[] }).content;
  const blocks: Record<string, unknown>[] = [];
  const json: string[] = [];
  for (const line of text.split('\n').filter((one) => one.startsWith('data: '))) {
    const { type, index, content_block: block, delta } = JSON.parse(line.slice(6)) as StreamedEvent;
    if (type === 'content_block_start') blocks[index] = { ...block };
    if (type !== 'content_block_delta') continue;
    const { type: kind, ...members } = delta;
    if (kind === 'input_json_delta') json[index] = (json[index] ?? '') + members['partial_json'];
    else if (kind === 'signature_delta') blocks[index]!['signature'] = members['signature'];
    else for (const [name, value] of Object.entries(members)) blocks[index]![name] = String(blocks[index]![name] ?? '') + value;
  }
  for (const [index, value] of json.entries()) if (value !== undefined) blocks[index]!['input'] = JSON.parse(value);
  return blocks as Block[];
}
