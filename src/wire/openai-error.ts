import { Buffer } from 'node:buffer';
import type { ErrorDetails } from './dialect.ts';

/** The error object of the OpenAI protocol. */
export interface WireError {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

function errorJson({ message, type, param, code }: WireError): string {
  return JSON.stringify({ error: { message, type, param, code } });
}

/** The body of an error response. */
export function encodeErrorBody(error: WireError): Uint8Array {
  return Buffer.from(errorJson(error));
}

/**
 * The error as the last event of a stream: clients recognize its top-level `error`. No terminator may follow: a clean end without an error
 * would look like a complete response.
 */
export function encodeStreamError(error: WireError): Uint8Array {
  return Buffer.from(`data: ${errorJson(error)}\n\n`);
}

/** OpenAI's code for each kind of failure, whatever its provider calls it. */
const CODES: Readonly<Record<string, string>> = {
  context_length: 'context_length_exceeded',
  model_not_found: 'model_not_found',
  rate_limited: 'rate_limit_exceeded',
  quota: 'insufficient_quota',
  content_filter: 'content_filter',
};

export function fromForeign(error: ErrorDetails, reason: string): ErrorDetails {
  return { ...error, code: CODES[reason] ?? error.code };
}
