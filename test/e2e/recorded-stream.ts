/** A chat stream as a provider sends it: text of every width, two tool calls by turns, usage; and what may become of it. */
import { Buffer } from 'node:buffer';

export const LINE_ENDS = { LF: '\n', 'CR LF': '\r\n', CR: '\r' } as const;

const event = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
export const chunk = (delta: object, finish: string | null = null): string =>
  event({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta, finish_reason: finish }],
  });
const call = (index: number, text: string, more: object = {}, name?: string): string =>
  chunk({ tool_calls: [{ index, ...more, function: { ...(name === undefined ? {} : { name }), arguments: text } }] });

const ROLE = chunk({ role: 'assistant', content: '' });
/** Everything up to the end of the text. */
export const TEXT = [
  ROLE,
  chunk({ content: 'Häfen' }),
  chunk({ content: ' – 港' }),
  ': ping\n\n',
  chunk({ content: '口 👩‍👩‍👧\n' }),
  `id: 7\ndata: {"id":"chatcmpl-1","choices":[{"index":0,\ndata: "delta":{"content":" \\"é\\" "},"finish_reason":null}]}\n\n`,
  chunk({ content: 'data: [DONE]\n\n' }),
].join('');
export const CALLS = [
  call(0, '', { id: 'call_a', type: 'function' }, 'tide'),
  call(1, '', { id: 'call_b', type: 'function' }, 'wind'),
  call(0, '{"at":"'),
  call(1, '{"at":'),
  call(0, 'Skagen"}'),
  call(1, '"\\u00c5"}'),
].join('');
export const FINISH = chunk({}, 'tool_calls');
export const USAGE = event({ id: 'chatcmpl-1', choices: [], usage: { prompt_tokens: 11, completion_tokens: 9, total_tokens: 20 } });
export const DONE = 'data: [DONE]\n\n';
export const RECORDED = TEXT + CALLS + FINISH + USAGE + DONE;

/** The text and the arguments that a caller should end up with. */
export const SAID = {
  content: 'Häfen – 港口 👩‍👩‍👧\n "é" data: [DONE]\n\n',
  calls: [
    ['call_a', 'tide', '{"at":"Skagen"}'],
    ['call_b', 'wind', '{"at":"\\u00c5"}'],
  ],
} as const;

/** With the other line ends; those inside JSON are escaped and stay. */
export function withLineEnds(stream: string, end: string): Buffer {
  return Buffer.from(stream.replaceAll('\n', end));
}

/** In chunks of `size` bytes. */
export function inPieces(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}
