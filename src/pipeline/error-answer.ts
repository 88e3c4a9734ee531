/** An error of ours as an answer in the caller's protocol: the one place that knows its headers (design 2.3). */
import { ERROR_CATALOGUE, type BreakwaterError } from '../core/errors.ts';
import type { DialectError, ErrorWords } from '../wire/dialect.ts';
import type { HeaderPairs } from './sink.ts';

/** SDKs obey a longer wait literally, or ignore it and retry at once: such a caller is told not to retry. */
const retryWaitMaxMs = 60_000;

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
}

/** The whole answer to a request that failed before its first byte went out. */
export function errorAnswer(dialect: DialectError, error: BreakwaterError, requestId: string): ErrorAnswer {
  const body = dialect.body(errorWords(dialect, error), requestId);
  const headers = ['content-type', 'application/json', 'content-length', String(body.byteLength)];
  headers.push(...requestIdHeaders(dialect, requestId), ...retryHeaders(error));
  return { status: error.status, headers, body };
}

/** Our id of the request, also under the name by which the dialect's own SDK knows it. */
export function requestIdHeaders({ requestIdHeader }: DialectError, requestId: string): HeaderPairs {
  const headers = ['x-request-id', requestId];
  if (requestIdHeader !== null) headers.push(requestIdHeader, requestId);
  return headers;
}

/** An error of ours in a dialect's words. */
export function errorWords(dialect: DialectError, error: BreakwaterError): ErrorWords {
  const { code, status, message, param } = error;
  return { status, message, type: dialect.typeOf(error), param, code };
}

/** `x-should-retry`, and `retry-after` (whole seconds, rounded up) with `retry-after-ms` where the wait is known. */
export function retryHeaders(error: BreakwaterError): HeaderPairs {
  const waitMs = error.retryAfterMs;
  if (waitMs === null || !Number.isFinite(waitMs)) return ['x-should-retry', 'false'];
  const ms = Math.max(0, Math.ceil(waitMs));
  const helps = ERROR_CATALOGUE[error.code].retryable && ms <= retryWaitMaxMs;
  return ['x-should-retry', String(helps), 'retry-after', String(Math.ceil(ms / 1000)), 'retry-after-ms', String(ms)];
}
