import type { Failure, FailureKind, Phase } from '../core/facts.ts';
import { fieldNamedIn } from '../core/unsupported-field.ts';
import { readErrorBody, readErrorValue } from './error-shape.ts';
import type { ErrorShape } from './error-shape.ts';
import type { HeaderLookup } from './header-lookup.ts';
import { retryAfterFromHeaders, waitUntil } from './retry-hints.ts';

/** A failure without an error from the provider: a broken connection, a timeout, an unreadable response. */
export function createFailure(kind: FailureKind, phase: Phase, message: string, found: Partial<Failure> = {}): Failure {
  return {
    status: null,
    code: null,
    type: null,
    param: null,
    retryAfterMs: null,
    resetEpochMs: null,
    body: null,
    contentType: null,
    ...found,
    kind,
    phase,
    message,
  };
}

/** The provider ended the response with a finish reason that denotes a failed generation. */
export function failedFinishFailure(finish: string, phase: Phase, body: Uint8Array | null = null): Failure {
  const message = `the provider ended the response with ${finish}`;
  return createFailure('empty', phase, message, { code: finish, body, contentType: body === null ? null : 'application/json' });
}

/** The connection broke before the response began. `isStale`: a reused connection was closed before the request arrived. */
export function resetFailure(errorName: string, isStale: boolean): Failure {
  const message = `${headFault(errorName)} (${errorName})`;
  return createFailure('reset', 'headers', message, isStale ? { code: 'stale_connection' } : {});
}

/** Distinguishes invalid HTTP from a dropped connection. */
function headFault(errorName: string): string {
  if (errorName === 'UND_ERR_HEADERS_OVERFLOW' || errorName === 'HPE_HEADER_OVERFLOW') return 'the response headers are too large';
  if (errorName === 'HTTPParserError' || errorName.startsWith('HPE_'))
    return 'the response is not valid HTTP: check the scheme and port of baseUrl';
  return 'the connection broke before the response began';
}

export interface ErrorResponse {
  readonly status: number;
  readonly headers: HeaderLookup;
  /** Decoded and bounded; may be empty. */
  readonly body: Uint8Array;
  /** The current time, for HTTP dates. */
  readonly epochMs: number;
}

/** A response with an error status. If headers and body both request a wait, the headers take precedence. */
export function failureFromResponse(response: ErrorResponse): Failure {
  const { headers, body, epochMs } = response;
  const contentType = headers.get('content-type');
  const shape = readErrorBody(body, charsetOf(contentType));
  // Bedrock sends 424 with the status of its model inside.
  const status = response.status === 424 && shape.status !== null ? shape.status : response.status;
  return createFailure('status', 'headers', shape.message ?? `the provider returned status ${status} without a message`, {
    status,
    code: isNamed(shape.code) ? shape.code : (amazonErrorName(headers) ?? shape.code),
    type: shape.type,
    param: shape.param ?? (NAMING_STATUSES.has(status) ? fieldNamedIn(shape.message ?? '') : null),
    retryAfterMs: retryAfterFromHeaders(headers, epochMs) ?? shape.retryAfterMs ?? waitUntil(shape.resetEpochMs, epochMs),
    resetEpochMs: shape.resetEpochMs,
    body: body.length > 0 ? body : null,
    contentType,
  });
}

/** Errors with these statuses may name an unsupported field. */
const NAMING_STATUSES: ReadonlySet<number> = new Set([400, 422, 500]);

function isNamed(code: string | null): boolean {
  return code !== null && !/^\d+$/.test(code);
}

/** AWS names the error in a header: `ThrottlingException:http://internal.amazon.com/…`. */
function amazonErrorName(headers: HeaderLookup): string | null {
  return /^[A-Za-z]{1,100}/.exec(headers.get('x-amzn-errortype') ?? '')?.[0] ?? null;
}

function charsetOf(contentType: string | null): string | null {
  return /;\s{0,10}charset=["']?([\w.:-]{1,40})/i.exec(contentType ?? '')?.[1] ?? null;
}

/** An error inside a success response: the parsed `error` (or whole body), and its bytes if they may be passed on. */
export function failureFromErrorValue(value: unknown, phase: Phase, body: Uint8Array | null): Failure {
  return failureFromShape(readErrorValue(value), phase, body, body === null ? null : 'application/json');
}

/** The same for an error event whose data may not be JSON. */
export function failureFromErrorText(data: Uint8Array, phase: Phase): Failure {
  return failureFromShape(readErrorBody(data), phase, data, null);
}

function failureFromShape(shape: ErrorShape, phase: Phase, body: Uint8Array | null, contentType: string | null): Failure {
  const { status, code, type, retryAfterMs, resetEpochMs } = shape;
  const message = shape.message ?? 'the provider sent an error without a message';
  const param = shape.param ?? (status === null || NAMING_STATUSES.has(status) ? fieldNamedIn(shape.message ?? '') : null);
  return createFailure('error', phase, message, { status, code, type, param, retryAfterMs, resetEpochMs, body, contentType });
}
