import { Buffer } from 'node:buffer';
import { CONTEXT_LENGTH_CODE, type ErrorWords } from '../dialect.ts';

/** The type that Anthropic's API gives with a status, and the words that its clients know. */
const TYPE_BY_STATUS: ReadonlyMap<number, string> = new Map([
  [400, 'invalid_request_error'],
  [401, 'authentication_error'],
  [402, 'billing_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [408, 'timeout_error'],
  [409, 'conflict_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [500, 'api_error'],
  [504, 'timeout_error'],
  [529, 'overloaded_error'],
]);
const TYPES: ReadonlySet<string> = new Set(TYPE_BY_STATUS.values());

/** The body of an error as Anthropic's API sends it: `{"type":"error","error":{…},"request_id":"…"}`. */
export function encodeErrorBody(words: ErrorWords, requestId: string): Uint8Array {
  return Buffer.from(errorJson(words, requestId));
}

/** The error as the last event of a stream. */
export function encodeErrorEvent(words: ErrorWords, requestId: string): Uint8Array {
  return Buffer.from(`event: error\ndata: ${errorJson(words, requestId)}\n\n`);
}

/** How the API begins such a message, which has no code: clients know it by these words. */
const TOO_LONG = 'prompt is too long';

function errorJson({ status, type, message: said, code }: ErrorWords, requestId: string): string {
  const message = code === CONTEXT_LENGTH_CODE && !said.toLowerCase().includes(TOO_LONG) ? `${TOO_LONG}: ${said}` : said;
  const known = type !== null && TYPES.has(type) ? type : typeOf(status);
  return JSON.stringify({ type: 'error', error: { type: known, message }, request_id: requestId });
}

function typeOf(status: number): string {
  return TYPE_BY_STATUS.get(status) ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
}
