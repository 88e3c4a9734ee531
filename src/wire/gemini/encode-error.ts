import { Buffer } from 'node:buffer';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import { asBuffer } from '../bytes.ts';
import { memberNamed, membersAt } from '../json-cursor.ts';
import type { DialectError, ErrorDetails } from '../dialect.ts';

/** Status names (google.rpc.Code) of the HTTP statuses that the proxy sends. */
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
  restated,
  event: (words) => Buffer.from(`data: ${errorJson(words)}\n\n`),
  isOwn: ({ error }) => isRecord(error) && typeof error['code'] === 'number' && typeof error['message'] === 'string',
  foreign: (words) => words,
  typeOf: ({ status }) => statusWord(status),
  requestIdHeader: null,
};

/** Google's clients read `error.code` before the HTTP status; the rest of the body is unchanged. */
function restated(body: Uint8Array, status: number): Uint8Array {
  if (!namesCode(body)) return body;
  const error = memberNamed(membersAt(body, body.indexOf(OPEN_BRACE)), 'error')!;
  const code = memberNamed(membersAt(body, error.valueStart), 'code')!;
  return Buffer.concat([body.subarray(0, code.valueStart), Buffer.from(String(status)), body.subarray(code.end)]);
}

const OPEN_BRACE = 0x7b;

function namesCode(body: Uint8Array): boolean {
  const value = parseOrUndefined(asBuffer(body).toString());
  return isRecord(value) && isRecord(value['error']) && typeof value['error']['code'] === 'number';
}

function errorJson({ status, message, retryAfterMs = null }: ErrorDetails): string {
  const details = retryAfterMs === null ? {} : { details: [retryInfo(retryAfterMs)] };
  return JSON.stringify({ error: { code: status, message, status: statusWord(status), ...details } });
}

/** Google's clients read the retry delay from here, not from a header. */
function retryInfo(retryAfterMs: number): object {
  return { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${Math.ceil(retryAfterMs / 1000)}s` };
}

function statusWord(status: number): string {
  return STATUS_WORDS[status] ?? (status < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL');
}
