/** The same response as a provider of each dialect sends it, in pieces that a fault may fall between. */
import type { SimulatedResponse, SimulatedStep } from '../../src/testing/simulated-upstream.ts';
import type { CallerName } from './dialect-callers.ts';

export interface Wire {
  /** What a stream opens with, before any content. */
  readonly head: string;
  /** An event each. */
  readonly words: readonly string[];
  /** What follows the content but for the terminator. */
  readonly tail: string;
  readonly terminator: string;
  readonly plain: string;
  error(type: string, message: string): string;
  /** An error inside a stream. */
  readonly errorEvent: string;
}

export const TEXT = 'one two three';
const WORDS = ['one ', 'two ', 'three'];
export const USAGE = [5, 0, 3] as const;

export function messageEvent(type: string, fields: object = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

export function chatChunk(delta: object, finish: string | null = null): string {
  const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm' };
  return `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
}

const chatUsage = { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 };
const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm' };
const stop = { stop_reason: 'end_turn', stop_sequence: null };
const textDelta = (text: string): string => messageEvent('content_block_delta', { index: 0, delta: { type: 'text_delta', text } });

export const WIRES: Readonly<Record<CallerName, Wire>> = {
  openai: {
    head: chatChunk({ role: 'assistant', content: '' }),
    words: WORDS.map((content) => chatChunk({ content })),
    tail: `${chatChunk({}, 'stop')}data: ${JSON.stringify({ id: 'chatcmpl-1', choices: [], usage: chatUsage })}\n\n`,
    terminator: 'data: [DONE]\n\n',
    plain: JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, message: { role: 'assistant', content: TEXT }, finish_reason: 'stop' }],
      usage: chatUsage,
    }),
    error: (type, text) => JSON.stringify({ error: { message: text, type, code: null, param: null } }),
    errorEvent: 'data: {"error":{"message":"The server is overloaded","type":"server_error","code":"server_is_overloaded"}}\n\n',
  },
  anthropic: {
    head:
      messageEvent('message_start', {
        message: { ...message, content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 5, output_tokens: 1 } },
      }) +
      messageEvent('ping') +
      messageEvent('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    words: WORDS.map(textDelta),
    tail: messageEvent('content_block_stop', { index: 0 }) + messageEvent('message_delta', { delta: stop, usage: { output_tokens: 3 } }),
    terminator: messageEvent('message_stop'),
    plain: JSON.stringify({ ...message, content: [{ type: 'text', text: TEXT }], ...stop, usage: { input_tokens: 5, output_tokens: 3 } }),
    error: (type, text) => JSON.stringify({ type: 'error', error: { type, message: text }, request_id: 'req_upstream' }),
    errorEvent: messageEvent('error', { error: { type: 'overloaded_error', message: 'Overloaded' }, request_id: 'req_upstream' }),
  },
};

export function headStep(stream: boolean, status = 200, headers: Readonly<Record<string, string>> = {}): SimulatedStep {
  return { do: 'head', status, headers: { 'content-type': stream ? 'text/event-stream' : 'application/json', ...headers } };
}

/** The response without a fault. */
export function wholeAnswer(wire: Wire, stream: boolean): SimulatedResponse {
  const bytes = stream ? wire.head + wire.words.join('') + wire.tail + wire.terminator : wire.plain;
  return { steps: [headStep(stream), { do: 'send', bytes }] };
}

/** A stream that begins with `bytes`, and goes on as `steps` say. */
export function streamOf(bytes: string, ...steps: readonly SimulatedStep[]): SimulatedResponse {
  return { steps: [headStep(true), { do: 'send', bytes }, { do: 'wait', ms: 10 }, ...steps] };
}

export const FOREVER: SimulatedStep = { do: 'wait', ms: Infinity };
export const RESET: SimulatedStep = { do: 'break', code: 'ECONNRESET' };

export function send(bytes: string): SimulatedStep {
  return { do: 'send', bytes };
}

/** What belongs to one dialect and must not stand in the other's stream or body. */
export const FOREIGN: Readonly<Record<CallerName, RegExp>> = {
  openai: /message_start|message_stop|content_block|stop_reason|^event:|"type":"(message|error)"/m,
  anthropic: /\[DONE\]|chat\.completion|finish_reason|"choices"|"delta":\{"(role|content)"/,
};
