/** A failure in the error format of other providers, as a body and as an event. */
import { STATUS_CODES } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { FailureResponse } from './dialect.ts';
import type { EventText } from './framings.ts';
import type { ErrorShape } from './failure-reasons.ts';

/** The fields of OpenAI's error object. */
export interface ErrorFields {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
  [more: string]: unknown;
}

const JSON_TYPE = 'application/json';

/** The body of an error response in OpenAI-like formats. */
export function toShapedBody(shape: ErrorShape, error: ErrorFields, status: number, retryDelay?: string): FailureResponse {
  const nested = `${JSON.stringify({ error }, null, 2)}\n`;
  const common = toCommonBody(shape, status, nested, error.message);
  if (common !== undefined) return common;
  if (shape === 'nested' || shape === 'event') return { status, contentType: JSON_TYPE, body: nested };
  return { status, contentType: JSON_TYPE, body: JSON.stringify(toValue(shape, error, status, retryDelay)) };
}

/** Shapes that come from a proxy or a content coding rather than a dialect; undefined for all others. */
export function toCommonBody(shape: ErrorShape | undefined, status: number, body: string, message: string): FailureResponse | undefined {
  switch (shape) {
    case 'gzip':
      return { status, contentType: JSON_TYPE, body: gzipSync(body), headers: { 'content-encoding': 'gzip' } };
    case 'words':
      return { status, contentType: 'text/plain', body: message };
    case 'html':
      return { status, contentType: 'text/html', body: toHtmlPage(status) };
    case 'empty':
      return { status, contentType: 'text/plain', body: '' };
    default:
      return undefined;
  }
}

/** The error as an event of a chat stream. Shapes without an event form send the body as data. */
export function toShapedEvent(shape: ErrorShape, error: ErrorFields, status: number): EventText {
  if (shape === 'nested' || shape === 'gzip') return { data: JSON.stringify({ error }) };
  if (shape === 'event') return { name: 'error', data: JSON.stringify(error) };
  if (shape === 'words') return { data: error.message };
  if (shape === 'html') return { data: toHtmlPage(status).replaceAll('\r\n', '') };
  if (shape === 'empty') return { name: 'error', data: '' };
  return { data: JSON.stringify(toValue(shape, error, status)) };
}

function toValue(shape: ErrorShape, error: ErrorFields, status: number, retryDelay?: string): unknown {
  const { message, type, code } = error;
  switch (shape) {
    case 'flat':
      return { object: 'error', ...error };
    case 'message':
      return { message };
    case 'string':
      return { error: message, code: code ?? type };
    case 'array':
      return [{ error: retryDelay === undefined ? error : google(error, status, retryDelay) }];
    case 'double':
      return { error: { message: JSON.stringify({ error }), type: null, param: null, code: status } };
    case 'quoted':
      return JSON.stringify({ error });
    case 'numeric':
      return {
        error: { code: status, message: 'Provider returned error', metadata: { provider_name: 'Storm', raw: JSON.stringify({ error }) } },
        user_id: 'user_storm',
      };
    case 'google':
      return { error: google(error, status, retryDelay) };
    case 'detail':
      return {
        detail: status === 422 ? [{ type: 'missing', loc: ['body', error.param ?? 'messages'], msg: message, input: null }] : message,
      };
    default:
      return { error };
  }
}

const GOOGLE_STATUS: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

function google({ message, details }: ErrorFields, status: number, retryDelay?: string): Record<string, unknown> {
  const known = Array.isArray(details) ? (details as unknown[]) : [];
  const wait = retryDelay === undefined ? [] : [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay }];
  return { code: status, message, status: GOOGLE_STATUS[status] ?? 'INTERNAL', details: [...known, ...wait] };
}

/** An HTML error page of a reverse proxy. */
export function toHtmlPage(status: number): string {
  const title = `${status} ${STATUS_CODES[status] ?? 'Error'}`;
  return `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n`;
}
