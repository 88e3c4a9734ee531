/** A response that has everything: reasoning, text, calls at once, cached input; as each dialect has it. */
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import type { CallerName } from './dialect-callers.ts';
import { chatChunk, headStep, messageEvent } from './dialect-wires.ts';

/** A response with reasoning, text, two calls at once and a prompt that the cache had in part. */
export const RICH = (target: CallerName, stream: boolean): SimulatedResponse => ({
  steps: [headStep(stream), { do: 'send', bytes: (target === 'openai' ? richChat : richMessage)(stream) }],
});
export const ARGUMENTS = ['{"at":"Skagen","n":1.10}', '{}'] as const;

export function richChat(stream: boolean): string {
  const usage = {
    prompt_tokens: 100,
    completion_tokens: 30,
    total_tokens: 130,
    prompt_tokens_details: { cached_tokens: 60 },
    completion_tokens_details: { reasoning_tokens: 9 },
  };
  const call = (index: number, name: string, text: string): object => ({
    index,
    id: `call_${name}:${index}`,
    type: 'function',
    function: { name, arguments: text },
  });
  const calls = [call(0, 'tide', ARGUMENTS[0]), call(1, 'wind', ARGUMENTS[1])];
  if (!stream) {
    const message = { role: 'assistant', content: 'Let me look.', reasoning_content: 'Two tools.', tool_calls: calls };
    return JSON.stringify({
      id: 'c',
      object: 'chat.completion',
      created: 1,
      model: 'gpt',
      choices: [{ index: 0, message, finish_reason: 'tool_calls' }],
      usage,
    });
  }
  return [
    chatChunk({ role: 'assistant', content: '' }),
    chatChunk({ reasoning_content: 'Two ' }),
    chatChunk({ reasoning_content: 'tools.' }),
    chatChunk({ content: 'Let me ' }),
    chatChunk({ content: 'look.' }),
    chatChunk({ tool_calls: [call(0, 'tide', '')] }),
    chatChunk({ tool_calls: [{ index: 0, function: { arguments: ARGUMENTS[0].slice(0, 9) } }] }),
    chatChunk({ tool_calls: [call(1, 'wind', '')] }),
    chatChunk({ tool_calls: [{ index: 0, function: { arguments: ARGUMENTS[0].slice(9) } }] }),
    chatChunk({ tool_calls: [{ index: 1, function: { arguments: ARGUMENTS[1] } }] }),
    chatChunk({}, 'tool_calls'),
    `data: ${JSON.stringify({ id: 'c', choices: [], usage })}\n\n`,
    'data: [DONE]\n\n',
  ].join('');
}

export function richMessage(stream: boolean): string {
  const usage = {
    input_tokens: 30,
    cache_read_input_tokens: 60,
    cache_creation_input_tokens: 10,
    output_tokens: 30,
    output_tokens_details: { thinking_tokens: 9 },
  };
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude', stop_sequence: null };
  if (!stream) {
    const content = [
      { type: 'thinking', thinking: 'Two tools.', signature: 'sig' },
      { type: 'text', text: 'Let me look.' },
      { type: 'tool_use', id: 'toolu_tide', name: 'tide', input: JSON.parse(ARGUMENTS[0]) as unknown },
      { type: 'tool_use', id: 'toolu_wind', name: 'wind', input: {} },
    ];
    return JSON.stringify({ ...message, content, stop_reason: 'tool_use', usage });
  }
  const block = (index: number, start: object, ...deltas: object[]): string =>
    [
      messageEvent('content_block_start', { index, content_block: start }),
      ...deltas.map((delta) => messageEvent('content_block_delta', { index, delta })),
      messageEvent('content_block_stop', { index }),
    ].join('');
  const json = (text: string): object => ({ type: 'input_json_delta', partial_json: text });
  return [
    messageEvent('message_start', { message: { ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } } }),
    messageEvent('ping'),
    block(
      0,
      { type: 'thinking', thinking: '', signature: '' },
      { type: 'thinking_delta', thinking: 'Two ' },
      { type: 'thinking_delta', thinking: 'tools.' },
      { type: 'signature_delta', signature: 'sig' },
    ),
    block(1, { type: 'text', text: '' }, { type: 'text_delta', text: 'Let me ' }, { type: 'text_delta', text: 'look.' }),
    // Fine-grained tool streaming: fragments of any size, an empty one first; a call without arguments has none at all.
    block(
      2,
      { type: 'tool_use', id: 'toolu_tide', name: 'tide', input: {} },
      json(''),
      json(ARGUMENTS[0].slice(0, 3)),
      json(ARGUMENTS[0].slice(3)),
    ),
    messageEvent('ping'),
    block(3, { type: 'tool_use', id: 'toolu_wind', name: 'wind', input: {} }),
    messageEvent('message_delta', { delta: { stop_reason: 'tool_use', stop_sequence: null }, usage: { output_tokens: 30 } }),
    messageEvent('message_stop'),
  ].join('');
}
