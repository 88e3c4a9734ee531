/** An error of ours as an answer in the caller's protocol: the one place that knows its headers (design 2.3). */
import { ERROR_CATALOGUE, type BreakwaterError } from '../core/errors.ts';
import type { Protocol } from '../core/request.ts';
import { encodeAnthropicError } from '../wire/anthropic-messages/encode-error.ts';
import { encodeGeminiError } from '../wire/gemini/encode-error.ts';
import { encodeErrorBody } from '../wire/openai-chat/encode-error.ts';
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
  const body = errorBody(protocol, error, requestId);
  const headers = ['content-type', 'application/json', 'content-length', String(body.byteLength), 'x-request-id', requestId];
  // The name under which Anthropic's own SDK looks for it.
  if (protocol === 'anthropic') headers.push('request-id', requestId);
  headers.push(...retryHeaders(error));
  return { status: error.status, headers, body };
}

function errorBody(protocol: Protocol, error: BreakwaterError, requestId: string): Uint8Array {
  const { code, status, message, param } = error;
  const entry = ERROR_CATALOGUE[code];
  switch (protocol) {
    case 'anthropic':
      return Buffer.from(encodeAnthropicError(entry.anthropicType, message, requestId));
    case 'gemini':
      return Buffer.from(encodeGeminiError(status, message));
    case 'openai':
      return encodeErrorBody({ message, type: entry.openaiType, param, code });
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
