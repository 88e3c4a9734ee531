/** An error of Breakwater's own as a response in the caller's protocol: the one place that sets its headers. */
import type { HeaderPairs } from '../../core/headers.ts';
import { ERROR_CATALOGUE, type BreakwaterError } from '../../core/errors.ts';
import { retrySignals, type ClientProgram, type RetryAdvice } from '../../wire/clients.ts';
import type { DialectError, ErrorDetails } from '../../wire/dialect.ts';

export interface ErrorResponse {
  readonly status: number;
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
}

/** The response to a request that failed before its first byte was sent, adapted to the calling program. */
export function errorResponse(
  dialect: DialectError,
  error: BreakwaterError,
  requestId: string,
  program: ClientProgram | null,
): ErrorResponse {
  const signals = retrySignals(program, error.status, retryAdvice(error));
  const body = dialect.body({ ...errorWords(dialect, error), status: signals.status }, requestId);
  const headers = ['content-type', 'application/json', 'content-length', String(body.byteLength)];
  headers.push(...requestIdHeaders(dialect, requestId), ...signals.headers);
  return { status: signals.status, headers, body };
}

/** Breakwater's id of the request, also under the header name that the dialect's SDK reads. */
export function requestIdHeaders({ requestIdHeader }: DialectError, requestId: string): HeaderPairs {
  const headers = ['x-request-id', requestId];
  if (requestIdHeader !== null) headers.push(requestIdHeader, requestId);
  return headers;
}

/** An error of Breakwater's own in a dialect's terms. */
export function errorWords(dialect: DialectError, error: BreakwaterError): ErrorDetails {
  const { code, status, message, param } = error;
  return { status, message, type: dialect.typeOf(error), param, code, retryAfterMs: error.retryAfterMs };
}

/** The retry advice of an error of Breakwater's own. */
export function retryAdvice({ code, retryAfterMs }: BreakwaterError): RetryAdvice {
  return { isRetryable: ERROR_CATALOGUE[code].retryable, waitMs: retryAfterMs };
}
