/** Anthropic's error types and their statuses. */
import type { Failure } from '../../core/facts.ts';

const TYPE_BY_STATUS: ReadonlyMap<number, string> = new Map([
  [400, 'invalid_request_error'],
  [401, 'authentication_error'],
  [402, 'billing_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [408, 'timeout_error'],
  [409, 'conflict_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [500, 'api_error'],
  [503, 'overloaded_error'],
  [504, 'timeout_error'],
  [529, 'overloaded_error'],
]);

/** Where several statuses share a type, the one that the API uses. */
const STATUS_BY_TYPE: ReadonlyMap<string, number> = new Map([...TYPE_BY_STATUS].map(([status, type]) => [type, status]));

export function typeOfStatus(status: number): string {
  return TYPE_BY_STATUS.get(status) ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
}

/** Null if the type is not one of Anthropic's. */
export function statusOfType(type: string | null): number | null {
  return type === null ? null : (STATUS_BY_TYPE.get(type) ?? null);
}

/** Gives an error found in a 200 response the status of its type. */
export function withStatus(failure: Failure): Failure {
  return failure.status === null ? { ...failure, status: statusOfType(failure.type) } : failure;
}
