import { Buffer } from 'node:buffer';
import type { DialectError, ErrorWords } from '../dialect.ts';

/** Google's own words for the statuses that we send (google.rpc.Code). */
const STATUS_WORDS: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ABORTED',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/** `{"error":{"code":404,"message":"…","status":"NOT_FOUND"}}`. */
export const geminiErrors: DialectError = {
  body: (words) => Buffer.from(errorJson(words)),
  event: (words) => Buffer.from(`data: ${errorJson(words)}\n\n`),
  isOwn: () => true,
  foreign: (words) => words,
  typeOf: ({ status }) => statusWord(status),
  requestIdHeader: null,
};

function errorJson({ status, message, retryAfterMs = null }: ErrorWords): string {
  const details = retryAfterMs === null ? {} : { details: [retryInfo(retryAfterMs)] };
  return JSON.stringify({ error: { code: status, message, status: statusWord(status), ...details } });
}

/** Google's clients look for the wait here, and not in a header. */
function retryInfo(retryAfterMs: number): object {
  return { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${Math.ceil(retryAfterMs / 1000)}s` };
}

function statusWord(status: number): string {
  return STATUS_WORDS[status] ?? (status < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL');
}
