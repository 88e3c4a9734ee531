/** Failures in Bedrock's format: the exception's name in a response header, or in the headers of an event. */
import type { Failure, FailureResponse } from '../dialect.ts';
import { toCommonBody } from '../error-shapes.ts';
import type { FailureReason } from '../failure-reasons.ts';
import type { EventText } from '../framings.ts';

interface Shape {
  readonly status: number;
  readonly name: string;
  readonly message: string;
}

const SHAPES: Readonly<Record<FailureReason, Shape>> = {
  'bad-json': shape(400, 'SerializationException', 'The request body is not valid JSON.'),
  'bad-key': shape(403, 'UnrecognizedClientException', 'The security token included in the request is invalid.'),
  'bad-gateway': shape(502, 'InternalServerException', 'Bad gateway'),
  conflict: shape(400, 'ConflictException', 'The resource is being changed by another request.'),
  'content-filter': shape(400, 'ValidationException', 'The request was blocked by the content filter.'),
  'context-length': shape(400, 'ValidationException', 'Input is too long for requested model.'),
  forbidden: shape(403, 'AccessDeniedException', "You don't have access to the model with the specified model ID."),
  'gateway-timeout': shape(504, 'ModelTimeoutException', 'The model did not answer in time.'),
  invalid: shape(400, 'ValidationException', 'The request is not valid.'),
  'no-model': shape(404, 'ResourceNotFoundException', 'The provided model identifier is invalid.'),
  'not-found': shape(404, 'UnknownOperationException', ''),
  overloaded: shape(503, 'ServiceUnavailableException', 'Bedrock is unable to process your request.'),
  parameter: shape(400, 'ValidationException', 'extraneous key is not permitted'),
  quota: shape(400, 'ServiceQuotaExceededException', 'The service quota of your account is exceeded.'),
  'rate-limit': shape(429, 'ThrottlingException', 'Too many requests, please wait before trying again.'),
  'request-timeout': shape(408, 'ModelTimeoutException', 'The model did not answer in time.'),
  server: shape(500, 'InternalServerException', 'The system encountered an unexpected error during processing. Try your request again.'),
  'slow-down': shape(429, 'ThrottlingException', 'Too many tokens, please wait before trying again.'),
  status: shape(424, 'ModelErrorException', 'The model returned an error.'),
  'too-large': shape(429, 'ThrottlingException', 'Too many tokens per minute, please wait before trying again.'),
  unavailable: shape(503, 'ServiceUnavailableException', 'Bedrock is unable to process your request.'),
};

function shape(status: number, name: string, message: string): Shape {
  return { status, name, message };
}

function bodyOf({ reason, message, extra }: Failure): { message: string; body: string } {
  const text = message ?? SHAPES[reason].message;
  return { message: text, body: JSON.stringify({ message: text, ...extra }) };
}

/** The failure as a complete response. */
export function toFailureResponse(failure: Failure): FailureResponse {
  const { status: usual, name } = SHAPES[failure.reason];
  const status = failure.status ?? usual;
  if (failure.raw !== undefined) return { status, ...failure.raw };
  const { message, body } = bodyOf(failure);
  const common = toCommonBody(failure.shape, status, body, message);
  if (common !== undefined) return common;
  const headers = { 'x-amzn-errortype': `${failure.type ?? name}:http://internal.amazon.com/coral/com.amazon.bedrock/` };
  return { status, contentType: 'application/json', body, headers };
}

/** The failure as an exception in a started stream. */
export function toFailureEvent(failure: Failure): EventText {
  const { name } = SHAPES[failure.reason];
  return { name: name[0]!.toLowerCase() + name.slice(1), data: bodyOf(failure).body, isException: true };
}
