import { Buffer } from 'node:buffer';
import { isRecord } from '../../core/json.ts';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { writeJson } from '../write-json.ts';
import { TERMINATOR } from './terminator.ts';

/**
 * Some servers respond to a streaming request with one JSON text. Converts it to the requested events: the content of each choice, its
 * end, and usage if the caller requested it. `bytes` must be a valid response.
 */
export function completionToStream(bytes: Uint8Array, keepUsage: boolean): Uint8Array {
  const response = JSON.parse(asBuffer(bytes).toString('utf8', byteOrderMarkLength(bytes))) as Record<string, unknown>;
  const { choices, usage, object, x_groq: _, ...rest } = response;
  const all = Array.isArray(choices) ? choices.filter(isRecord) : [];
  const isText = object === 'text_completion' || all.some((choice) => typeof choice['text'] === 'string');
  const head = { ...rest, object: isText ? 'text_completion' : 'chat.completion.chunk' };
  const events: Uint8Array[] = [];
  const emit = (more: Record<string, unknown>): void => void events.push(Buffer.from(`data: ${writeJson({ ...head, ...more })}\n\n`));
  for (const [index, choice] of all.entries()) {
    if (isText) emit({ choices: [{ index, ...choice, finish_reason: finishOf(choice, false) }] });
    else for (const part of chunksOf(choice, index)) emit({ choices: [part] });
  }
  if (keepUsage && isRecord(usage)) emit({ choices: [], usage });
  return Buffer.concat([...events, TERMINATOR]);
}

function chunksOf(choice: Record<string, unknown>, position: number): Record<string, unknown>[] {
  const { message, finish_reason: _, ...rest } = choice;
  const index = typeof choice['index'] === 'number' ? choice['index'] : position;
  const fields = isRecord(message) ? withCallIndexes(message) : {};
  const hasCall = Array.isArray(fields['tool_calls']) && fields['tool_calls'].length > 0;
  return [
    { ...rest, index, delta: { role: 'assistant', ...fields }, finish_reason: null },
    { index, delta: {}, finish_reason: finishOf(choice, hasCall) },
  ];
}

/** A complete response without a finish reason has ended normally; clients need one. */
function finishOf(choice: Record<string, unknown>, hasCall: boolean): string {
  const finish = choice['finish_reason'];
  if (typeof finish === 'string' && finish !== '') return finish;
  return hasCall ? 'tool_calls' : 'stop';
}

/** Tool calls of a stream are distinguished by their index, which those of a complete response lack, or all have alike. */
export function withCallIndexes(message: Record<string, unknown>): Record<string, unknown> {
  const calls = message['tool_calls'];
  if (!Array.isArray(calls)) return message;
  return { ...message, tool_calls: calls.map((call: unknown, index) => (isRecord(call) ? { ...call, index } : call)) };
}
