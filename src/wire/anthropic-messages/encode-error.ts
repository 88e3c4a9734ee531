import { Buffer } from 'node:buffer';
import type { ErrorDetails } from '../dialect.ts';
import { statusOfType, typeOfStatus } from './error-types.ts';

/** The body of an error as Anthropic's API sends it: `{"type":"error","error":{…},"request_id":"…"}`. */
export function encodeErrorBody(words: ErrorDetails, requestId: string): Uint8Array {
  return Buffer.from(errorJson(words, requestId));
}

/** The error as the last event of a stream. */
export function encodeErrorEvent(words: ErrorDetails, requestId: string): Uint8Array {
  return Buffer.from(`event: error\ndata: ${errorJson(words, requestId)}\n\n`);
}

function errorJson({ status, type, message }: ErrorDetails, requestId: string): string {
  const known = statusOfType(type) === null ? typeOfStatus(status) : type;
  return JSON.stringify({ type: 'error', error: { type: known, message }, request_id: requestId });
}

/** Agents search an error's message for this text before they compact the conversation. */
const TOO_LONG = 'prompt is too long';

/** The type follows the status: other dialects use the same word with other statuses. */
export function fromForeign(words: ErrorDetails, reason: string): ErrorDetails {
  const { message } = words;
  const isTooLong = reason === 'context_length' && !message.toLowerCase().includes(TOO_LONG);
  return { ...words, type: null, message: isTooLong ? `${TOO_LONG}: ${message}` : message };
}
