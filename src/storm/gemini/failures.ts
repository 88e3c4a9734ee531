/** Failures as google.rpc.Status: code, status, message and details per reason. */
import { asText } from '../request.ts';
import type { Failure, FailureResponse } from '../dialect.ts';
import { toCommonBody } from '../error-shapes.ts';
import type { FailureReason } from '../failure-reasons.ts';
import type { EventText } from '../framings.ts';
import type { Refusal } from '../limits.ts';

interface Shape {
  readonly code: number;
  readonly status: string;
  readonly message: string;
}

const QUOTA_MESSAGE =
  'You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.';

const SHAPES: Readonly<Record<FailureReason, Shape>> = {
  'bad-json': shape(400, 'INVALID_ARGUMENT', 'Invalid JSON payload received. Unexpected end of string.'),
  'bad-key': shape(400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.'),
  'bad-gateway': shape(502, 'UNAVAILABLE', 'The service is currently unavailable.'),
  conflict: shape(409, 'ABORTED', 'The operation was aborted.'),
  'content-filter': shape(400, 'INVALID_ARGUMENT', 'The prompt could not be submitted: it was blocked by a safety filter.'),
  'context-length': shape(
    400,
    'INVALID_ARGUMENT',
    'The input token count (1048600) exceeds the maximum number of tokens allowed (1048576).',
  ),
  forbidden: shape(403, 'PERMISSION_DENIED', 'The caller does not have permission'),
  'gateway-timeout': shape(504, 'DEADLINE_EXCEEDED', 'Deadline expired before operation could complete.'),
  invalid: shape(400, 'INVALID_ARGUMENT', 'Request contains an invalid argument.'),
  'no-model': shape(404, 'NOT_FOUND', ''),
  'not-found': shape(404, 'NOT_FOUND', 'Requested entity was not found.'),
  overloaded: shape(503, 'UNAVAILABLE', 'The model is overloaded. Please try again later.'),
  parameter: shape(400, 'INVALID_ARGUMENT', ''),
  quota: shape(429, 'RESOURCE_EXHAUSTED', QUOTA_MESSAGE),
  'rate-limit': shape(429, 'RESOURCE_EXHAUSTED', QUOTA_MESSAGE),
  'request-timeout': shape(408, 'DEADLINE_EXCEEDED', 'The request timed out.'),
  server: shape(
    500,
    'INTERNAL',
    'An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting',
  ),
  'slow-down': shape(429, 'RESOURCE_EXHAUSTED', 'Resource has been exhausted (e.g. check quota).'),
  status: shape(500, 'UNKNOWN', 'An error of this status.'),
  'too-large': shape(429, 'RESOURCE_EXHAUSTED', QUOTA_MESSAGE),
  unavailable: shape(503, 'UNAVAILABLE', 'The service is currently unavailable.'),
};

function shape(code: number, status: string, message: string): Shape {
  return { code, status, message };
}

const TYPE = 'type.googleapis.com/google.rpc';

interface Quota {
  readonly metric: string;
  readonly id: string;
}

const QUOTAS: Readonly<Record<Refusal['by'], Quota>> = {
  requests: { metric: 'generate_content_free_tier_requests', id: 'GenerateRequestsPerMinutePerProjectPerModel-FreeTier' },
  tokens: { metric: 'generate_content_free_tier_input_token_count', id: 'GenerateContentInputTokensPerModelPerMinute-FreeTier' },
  input: { metric: 'generate_content_free_tier_input_token_count', id: 'GenerateContentInputTokensPerModelPerMinute-FreeTier' },
  output: { metric: 'generate_content_output_token_count', id: 'GenerateContentOutputTokensPerModelPerMinute' },
  day: { metric: 'generate_content_free_tier_requests', id: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' },
  concurrency: { metric: 'generate_content_concurrent_requests', id: 'GenerateConcurrentRequestsPerProjectPerModel' },
};

/** The quota that a failure names, if any. */
function quotaOf({ reason, refusal }: Failure): keyof typeof QUOTAS | undefined {
  if (reason === 'quota') return 'day';
  if (reason === 'too-large') return 'tokens';
  return reason === 'rate-limit' ? (refusal?.by ?? 'requests') : undefined;
}

function detailsOf(failure: Failure): unknown[] {
  const { reason, model = 'storm', refusal, retryDelay, extra } = failure;
  const details: unknown[] = Array.isArray(extra?.['details']) ? [...(extra['details'] as unknown[])] : [];
  const by = quotaOf(failure);
  if (by !== undefined && details.length === 0) {
    const { metric, id } = QUOTAS[by];
    const violation = {
      quotaMetric: `generativelanguage.googleapis.com/${metric}`,
      quotaId: id,
      quotaDimensions: { location: 'global', model },
      quotaValue: asText(refusal?.limit ?? 10),
    };
    details.push({ '@type': `${TYPE}.QuotaFailure`, violations: [violation] });
    const link = { description: 'Learn more about Gemini API quotas', url: 'https://ai.google.dev/gemini-api/docs/rate-limits' };
    details.push({ '@type': `${TYPE}.Help`, links: [link] });
  }
  if (reason === 'bad-key') {
    const metadata = { service: 'generativelanguage.googleapis.com' };
    details.push({ '@type': `${TYPE}.ErrorInfo`, reason: 'API_KEY_INVALID', domain: 'googleapis.com', metadata });
  }
  if (retryDelay !== undefined) details.push({ '@type': `${TYPE}.RetryInfo`, retryDelay });
  return details;
}

function messageOf(failure: Failure): string {
  const { reason, model = 'storm', param, refusal, retryDelay, message } = failure;
  if (message !== undefined) return message;
  if (reason === 'no-model') {
    return `models/${model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.`;
  }
  if (reason === 'parameter') return `Invalid JSON payload received. Unknown name "${asText(param)}": Cannot find field.`;
  const by = quotaOf(failure);
  if (by === undefined) return SHAPES[reason].message;
  const limit = `\n* Quota exceeded for metric: generativelanguage.googleapis.com/${QUOTAS[by].metric}, limit: ${refusal?.limit ?? 10}, model: ${model}`;
  return `${SHAPES[reason].message}${limit}${retryDelay === undefined ? '' : `\nPlease retry in ${retryDelay}.`}`;
}

function statusOf(failure: Failure): {
  readonly status: number;
  readonly error: Readonly<Record<string, unknown>>;
  readonly message: string;
} {
  const { code, status } = SHAPES[failure.reason];
  const httpStatus = failure.status ?? code;
  const word = failure.code ?? status;
  const message = messageOf(failure);
  const details = detailsOf(failure);
  return { status: httpStatus, message, error: { code: httpStatus, message, status: word, ...(details.length === 0 ? {} : { details }) } };
}

/** The failure as a complete response. */
export function toFailureResponse(failure: Failure): FailureResponse {
  const { status, error, message } = statusOf(failure);
  if (failure.raw !== undefined) return { status, ...failure.raw };
  const value = { error };
  const body = `${JSON.stringify(failure.shape === 'array' ? [value] : value, null, 2)}\n`;
  return toCommonBody(failure.shape, status, body, message) ?? { status, contentType: 'application/json; charset=UTF-8', body };
}

/** The failure as a chunk of a started stream. */
export function toFailureEvent(failure: Failure): EventText {
  return { data: JSON.stringify({ error: statusOf(failure).error }) };
}
