import { Buffer } from 'node:buffer';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { isRecord } from '../json-values.ts';
import { TERMINATOR } from './terminator.ts';

/**
 * Some servers answer a request for a stream with one JSON text. The same answer as the events that were asked for: each
 * choice with all it says, its end, and the usage where the caller wants it. `bytes` have been read as an answer before.
 */
export function answerAsStream(bytes: Uint8Array, keepUsage: boolean): Uint8Array {
  const answer = JSON.parse(asBuffer(bytes).toString('utf8', byteOrderMarkLength(bytes))) as Record<string, unknown>;
  const { choices, usage, object, ...rest } = answer;
  const isText = object === 'text_completion';
  const head = { ...rest, object: isText ? object : 'chat.completion.chunk' };
  const events: Uint8Array[] = [];
  const say = (more: Record<string, unknown>): void => void events.push(Buffer.from(`data: ${JSON.stringify({ ...head, ...more })}\n\n`));
  const all = Array.isArray(choices) ? choices.filter(isRecord) : [];
  for (const [index, choice] of all.entries()) {
    if (isText) say({ choices: [{ index, ...choice }] });
    else for (const part of chunksOf(choice, index)) say({ choices: [part] });
  }
  if (keepUsage && isRecord(usage)) say({ choices: [], usage });
  return Buffer.concat([...events, TERMINATOR]);
}

function chunksOf(choice: Record<string, unknown>, position: number): Record<string, unknown>[] {
  const { message, finish_reason: finish, ...rest } = choice;
  const index = typeof choice['index'] === 'number' ? choice['index'] : position;
  const said = { ...rest, index, delta: isRecord(message) ? numbered(message) : {}, finish_reason: null };
  return [said, { index, delta: {}, finish_reason: typeof finish === 'string' ? finish : 'stop' }];
}

/** Tool calls of a stream are told apart by their index, which a whole answer's lack. */
function numbered(message: Record<string, unknown>): Record<string, unknown> {
  const calls = message['tool_calls'];
  if (!Array.isArray(calls)) return message;
  return { ...message, tool_calls: calls.map((call: unknown, index) => (isRecord(call) ? { index, ...call } : call)) };
}
