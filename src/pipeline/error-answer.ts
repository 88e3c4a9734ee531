/** An error of ours as an answer in the caller's protocol: the one place that knows its headers (design 2.3). */
import { ERROR_CATALOGUE, type BreakwaterError } from '../core/errors.ts';
import type { Protocol } from '../core/request.ts';
import { encodeAnthropicError } from '../wire/anthropic-messages/encode-error.ts';
import { encodeGeminiError } from '../wire/gemini/encode-error.ts';
import type { HeaderPairs } from './sink.ts';

/** SDKs obey a longer wait literally, or ignore it and retry at once: such a caller is told not to retry. */
const retryWaitMaxMs = 60_000;

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
}

/** The whole answer to a request that failed before its first byte went out. */
export function errorAnswer(protocol: Protocol, error: BreakwaterError, requestId: string): ErrorAnswer {
  const body = Buffer.from(errorBody(protocol, error, requestId));
  const headers = ['content-type', 'application/json', 'content-length', String(body.length), 'x-request-id', requestId];
  headers.push(...retryHeaders(error));
  return { status: error.status, headers, body };
}

/** The JSON of an error, as it also stands in a stream. */
export function errorBody(protocol: Protocol, error: BreakwaterError, requestId: string): string {
  const entry = ERROR_CATALOGUE[error.code];
  switch (protocol) {
    case 'anthropic':
      return encodeAnthropicError(entry.anthropicType, error.message, requestId);
    case 'gemini':
      return encodeGeminiError(error.status, error.message);
    case 'openai':
      return JSON.stringify({ error: { message: error.message, type: entry.openaiType, param: error.param, code: error.code } });
  }
}

/** `x-should-retry`, and `retry-after` (whole seconds, rounded up) with `retry-after-ms` where the wait is known. */
export function retryHeaders(error: BreakwaterError): HeaderPairs {
  const waitMs = error.retryAfterMs;
  if (waitMs === null || !Number.isFinite(waitMs)) return ['x-should-retry', 'false'];
  const ms = Math.max(0, Math.ceil(waitMs));
  const helps = ERROR_CATALOGUE[error.code].retryable && ms <= retryWaitMaxMs;
  return ['x-should-retry', String(helps), 'retry-after', String(Math.ceil(ms / 1000)), 'retry-after-ms', String(ms)];
}
