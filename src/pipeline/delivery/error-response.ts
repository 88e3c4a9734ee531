/** An error of ours as an answer in the caller's protocol: the one place that knows its headers (design 2.3). */
import type { HeaderPairs } from '../../core/headers.ts';
import { ERROR_CATALOGUE, type BreakwaterError } from '../../core/errors.ts';
import { retrySignals, type ClientProgram, type RetryAdvice } from '../../wire/clients.ts';
import type { DialectError, ErrorWords } from '../../wire/dialect.ts';

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
}

/** The whole response to a request that failed before its first byte was sent, as its caller's program needs it. */
export function errorAnswer(dialect: DialectError, error: BreakwaterError, requestId: string, program: ClientProgram | null): ErrorAnswer {
  const signals = retrySignals(program, error.status, retryAdvice(error));
  const body = dialect.body({ ...errorWords(dialect, error), status: signals.status }, requestId);
  const headers = ['content-type', 'application/json', 'content-length', String(body.byteLength)];
  headers.push(...requestIdHeaders(dialect, requestId), ...signals.headers);
  return { status: signals.status, headers, body };
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
  return { status, message, type: dialect.typeOf(error), param, code, retryAfterMs: error.retryAfterMs };
}

/** What an error of ours says of a retry. */
export function retryAdvice({ code, retryAfterMs }: BreakwaterError): RetryAdvice {
  return { comesBack: ERROR_CATALOGUE[code].retryable, waitMs: retryAfterMs };
}
