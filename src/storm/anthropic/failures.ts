/** Failures in Anthropic's format: status, type and message per reason. */
import type { Failure, FailureResponse } from '../dialect.ts';
import { toCommonBody } from '../error-shapes.ts';
import type { Refusal } from '../limits.ts';
import type { EventText } from '../framings.ts';
import type { FailureReason } from '../failure-reasons.ts';

interface Shape {
  readonly status: number;
  readonly type: string;
  readonly message: string;
  /** `details.error_code`. */
  readonly code?: string;
}

const SHAPES: Readonly<Record<FailureReason, Shape>> = {
  'bad-json': shape(400, 'invalid_request_error', 'The request body is not valid JSON.'),
  'bad-key': shape(401, 'authentication_error', 'invalid x-api-key'),
  'bad-gateway': shape(502, 'api_error', 'Bad gateway'),
  conflict: shape(409, 'conflict_error', 'The resource is being changed by another request.'),
  'content-filter': shape(400, 'invalid_request_error', 'Output blocked by content filtering policy'),
  'context-length': shape(400, 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'),
  forbidden: shape(403, 'permission_error', 'Your API key does not have permission to use the specified resource.'),
  'gateway-timeout': shape(504, 'timeout_error', 'The request timed out.'),
  invalid: shape(400, 'invalid_request_error', 'messages: at least one message is required'),
  'no-model': shape(404, 'not_found_error', 'model: storm'),
  'not-found': shape(404, 'not_found_error', 'Not found'),
  overloaded: shape(529, 'overloaded_error', 'Overloaded'),
  parameter: shape(400, 'invalid_request_error', 'Extra inputs are not permitted'),
  quota: { ...shape(429, 'rate_limit_error', 'The spend limit of your contract is reached.'), code: 'contract_spend_limit_reached' },
  'rate-limit': shape(429, 'rate_limit_error', "This request would exceed your organization's rate limit."),
  'request-timeout': shape(408, 'timeout_error', 'The request timed out.'),
  server: shape(500, 'api_error', 'Internal server error'),
  'slow-down': { ...shape(429, 'rate_limit_error', 'Your traffic grew too fast.'), code: 'ramp_limit_exceeded' },
  status: shape(500, 'api_error', 'An error of this status.'),
  'too-large': shape(413, 'request_too_large', 'Request exceeds the maximum size'),
  unavailable: shape(503, 'api_error', 'Service unavailable'),
};

function shape(status: number, type: string, message: string): Shape {
  return { status, type, message };
}

const PER: Readonly<Record<Refusal['by'], string>> = {
  requests: 'requests per minute',
  tokens: 'tokens per minute',
  input: 'input tokens per minute',
  output: 'output tokens per minute',
  day: 'requests per day',
  concurrency: 'concurrent connections',
};

function limitMessage({ by, limit }: Refusal): string {
  return `This request would exceed your organization's rate limit of ${limit.toLocaleString('en-US')} ${PER[by]}.`;
}

function errorOf(failure: Failure): { readonly status: number; readonly body: string; readonly message: string } {
  const { status, type, message, code } = SHAPES[failure.reason];
  const limited = failure.reason === 'rate-limit' && failure.refusal !== undefined ? limitMessage(failure.refusal) : message;
  const words = failure.reason === 'parameter' && failure.param !== undefined ? `${failure.param}: ${message}` : limited;
  const named = failure.code ?? code;
  const details = named === undefined ? {} : { details: { error_code: named } };
  const error = { type: failure.type ?? type, message: failure.message ?? words, ...details, ...failure.extra };
  return {
    status: failure.status ?? status,
    message: error.message,
    body: JSON.stringify({ type: 'error', error, request_id: 'req_storm' }),
  };
}

/** The failure as a complete response. Of the other error shapes only those of proxies apply. */
export function toFailureResponse(failure: Failure): FailureResponse {
  const { status, body, message } = errorOf(failure);
  if (failure.raw !== undefined) return { status, ...failure.raw };
  return toCommonBody(failure.shape, status, body, message) ?? { status, contentType: 'application/json', body };
}

/** The failure as an event in a started stream. */
export function toFailureEvent(failure: Failure): EventText {
  return { name: 'error', data: errorOf(failure).body };
}
