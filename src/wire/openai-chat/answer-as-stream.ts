import { Buffer } from 'node:buffer';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { isRecord } from '../json-values.ts';
import { writeJson } from '../write-json.ts';
import { TERMINATOR } from './terminator.ts';

/**
 * Some servers answer a request for a stream with one JSON text. The same answer as the events that were asked for: each
 * choice with all it says, its end, and the usage where the caller wants it. `bytes` have been read as an answer before.
 */
export function answerAsStream(bytes: Uint8Array, keepUsage: boolean): Uint8Array {
  const answer = JSON.parse(asBuffer(bytes).toString('utf8', byteOrderMarkLength(bytes))) as Record<string, unknown>;
  const { choices, usage, object, x_groq: _, ...rest } = answer;
  const all = Array.isArray(choices) ? choices.filter(isRecord) : [];
  const isText = object === 'text_completion' || all.some((choice) => typeof choice['text'] === 'string');
  const head = { ...rest, object: isText ? 'text_completion' : 'chat.completion.chunk' };
  const events: Uint8Array[] = [];
  const say = (more: Record<string, unknown>): void => void events.push(Buffer.from(`data: ${writeJson({ ...head, ...more })}\n\n`));
  for (const [index, choice] of all.entries()) {
    if (isText) say({ choices: [{ index, ...choice, finish_reason: finishOf(choice, false) }] });
    else for (const part of chunksOf(choice, index)) say({ choices: [part] });
  }
  if (keepUsage && isRecord(usage)) say({ choices: [], usage });
  return Buffer.concat([...events, TERMINATOR]);
}

function chunksOf(choice: Record<string, unknown>, position: number): Record<string, unknown>[] {
  const { message, finish_reason: _, ...rest } = choice;
  const index = typeof choice['index'] === 'number' ? choice['index'] : position;
  const said = isRecord(message) ? numbered(message) : {};
  const hasCall = Array.isArray(said['tool_calls']) && said['tool_calls'].length > 0;
  return [
    { ...rest, index, delta: { role: 'assistant', ...said }, finish_reason: null },
    { index, delta: {}, finish_reason: finishOf(choice, hasCall) },
  ];
}

/** A whole answer that does not say why it ended has simply come to its end; clients wait for the word. */
function finishOf(choice: Record<string, unknown>, hasCall: boolean): string {
  const finish = choice['finish_reason'];
  if (typeof finish === 'string' && finish !== '') return finish;
  return hasCall ? 'tool_calls' : 'stop';
}

/** Tool calls of a stream are told apart by their index, which a whole answer's lack, or have all alike. */
export function numbered(message: Record<string, unknown>): Record<string, unknown> {
  const calls = message['tool_calls'];
  if (!Array.isArray(calls)) return message;
  return { ...message, tool_calls: calls.map((call: unknown, index) => (isRecord(call) ? { ...call, index } : call)) };
}
