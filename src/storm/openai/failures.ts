/** Failures in OpenAI's format: status, type, code and message per reason. */
import type { Failure, FailureResponse } from '../dialect.ts';
import type { EventText } from '../framings.ts';
import type { FailureReason } from '../failure-reasons.ts';
import { toShapedBody, toShapedEvent } from '../error-shapes.ts';
import type { ErrorFields } from '../error-shapes.ts';
import { toGoDuration } from './go-duration.ts';

interface Shape {
  status: number;
  type: string;
  code: string | null;
  message(failure: Failure): string;
}

const model = (failure: Failure): string => failure.model ?? 'storm-small';

const SHAPES: Record<FailureReason, Shape> = {
  'bad-json': shape(400, 'invalid_request_error', null, 'We could not parse the JSON body of your request.'),
  'bad-key': shape(401, 'invalid_request_error', 'invalid_api_key', 'Incorrect API key provided.'),
  'bad-gateway': shape(502, 'server_error', null, 'Bad gateway.'),
  conflict: shape(409, 'invalid_request_error', 'conflict', 'The resource is being changed by another request.'),
  'content-filter': shape(
    400,
    'invalid_request_error',
    'content_filter',
    'The response was filtered due to the prompt triggering the content management policy.',
  ),
  'context-length': shape(
    400,
    'invalid_request_error',
    'context_length_exceeded',
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length of the messages.",
  ),
  forbidden: shape(403, 'invalid_request_error', 'unsupported_country_region_territory', 'Country, region, or territory not supported'),
  'gateway-timeout': shape(504, 'server_error', null, 'Gateway timeout.'),
  invalid: shape(400, 'invalid_request_error', null, 'Invalid request.'),
  'no-model': {
    ...shape(404, 'invalid_request_error', 'model_not_found', ''),
    message: (failure) => `The model \`${model(failure)}\` does not exist or you do not have access to it.`,
  },
  'not-found': shape(404, 'invalid_request_error', null, 'Invalid URL.'),
  overloaded: shape(529, 'overloaded_error', 'overloaded', 'The engine is currently overloaded, please try again later.'),
  parameter: {
    ...shape(400, 'invalid_request_error', 'unsupported_parameter', ''),
    message: (failure) => `Unsupported parameter: '${failure.param}' is not supported with this model.`,
  },
  quota: shape(
    429,
    'insufficient_quota',
    'insufficient_quota',
    'You exceeded your current quota, please check your plan and billing details.',
  ),
  'rate-limit': { ...shape(429, 'requests', 'rate_limit_exceeded', ''), message: rateLimitMessage },
  'request-timeout': shape(408, 'invalid_request_error', 'request_timeout', 'The request timed out.'),
  server: shape(500, 'server_error', null, 'The server had an error while processing your request. Sorry about that!'),
  'slow-down': shape(429, 'rate_limit_error', 'slow_down', 'Your traffic grew too fast. Please slow down.'),
  status: shape(500, 'server_error', null, 'The requested failure.'),
  'too-large': {
    ...shape(429, 'tokens', 'rate_limit_exceeded', ''),
    message(failure) {
      const { limit, requested } = failure.refusal ?? { limit: 1000, requested: 2000 };
      return `Request too large for ${model(failure)} on tokens per min (TPM): Limit ${limit}, Requested ${requested}. The input or output tokens must be reduced in order to run successfully.`;
    },
  },
  unavailable: shape(503, 'service_unavailable_error', 'server_is_overloaded', 'The server is overloaded or not ready yet.'),
};

function shape(status: number, type: string, code: string | null, text: string): Shape {
  return { status, type, code, message: () => text };
}

const PER = {
  requests: 'requests per min (RPM)',
  tokens: 'tokens per min (TPM)',
  input: 'input tokens per min (ITPM)',
  output: 'output tokens per min (OTPM)',
  day: 'requests per day (RPD)',
  concurrency: 'concurrent requests',
};

function rateLimitMessage(failure: Failure): string {
  const { refusal } = failure;
  if (refusal === undefined) return `Rate limit reached for ${model(failure)}.`;
  const wait = refusal.waitMs === undefined ? '' : ` Please try again in ${toGoDuration(refusal.waitMs)}.`;
  return `Rate limit reached for ${model(failure)} on ${PER[refusal.by]}: Limit ${refusal.limit}, Used ${refusal.used}, Requested ${refusal.requested}.${wait}`;
}

export function errorObject(failure: Failure): { status: number; error: ErrorFields } {
  const found = SHAPES[failure.reason];
  const type = failure.reason === 'rate-limit' && failure.refusal?.by === 'tokens' ? 'tokens' : found.type;
  return {
    status: failure.status ?? found.status,
    error: {
      message: failure.message ?? found.message(failure),
      type: failure.type ?? type,
      param: failure.param ?? null,
      code: failure.code ?? found.code,
      ...failure.extra,
    },
  };
}

/** The failure as a complete response. */
export function toFailureResponse(failure: Failure): FailureResponse {
  const { status, error } = errorObject(failure);
  if (failure.raw !== undefined) return { status, ...failure.raw };
  return toShapedBody(failure.shape ?? 'nested', error, status, failure.retryDelay);
}

/** The failure as an event in a started chat stream. */
export function toFailureEvent(failure: Failure): EventText {
  const { status, error } = errorObject(failure);
  return toShapedEvent(failure.shape ?? 'nested', error, status);
}
