/** A complete response that can be sent to several requests, and its conversion to the form that each asks for. */
import type { HeaderPairs } from '../../core/headers.ts';
import { requestIdHeaders } from '../delivery/error-response.ts';
import type { CacheUse } from '../../core/events.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { CachePolicy } from '../../policy/cache/freshness.ts';
import type { Dialect, ErrorDetails } from '../../wire/dialect.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';

export interface WholeResponse {
  readonly status: number;
  /** Header names alternating with values, without those that differ per request. */
  readonly headers: readonly string[];
  readonly body: Uint8Array;
  readonly isStream: boolean;
  /** Of a stream: usage is in its events. */
  readonly includesUsage: boolean;
  readonly usage: TokenUsage | null;
  /** The error of a final refusal, for use in other forms; null: it is not an error. */
  readonly refusal: ErrorDetails | null;
  /** Time of its completion, in milliseconds since the Unix epoch. */
  readonly madeAtMs: number;
}

/** How a response may be used besides by its readers. */
export interface ResponsePurpose {
  /** Null: it is not cached. */
  readonly cacheKey: string | null;
  readonly policy: CachePolicy;
  readonly dialect: Dialect;
}

/** Headers that differ per request. */
const PER_REQUEST: ReadonlySet<string> = new Set([
  'x-request-id', 'request-id', 'x-breakwater-attempts', 'x-breakwater-queue-ms', 'x-breakwater-cost-usd', 'x-breakwater-cache', 'age', 'content-length',
]); // prettier-ignore

/** The headers without those that differ per request. */
export function sharedHeaders(headers: readonly string[]): string[] {
  const shared: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (!PER_REQUEST.has(headers[i]!)) shared.push(headers[i]!, headers[i + 1]!);
  }
  return shared;
}

/** The headers of a response that caused no upstream call. `shared`: see `sharedHeaders`. */
export function replayHeaders(
  { id, dialect }: GatewayRequest,
  shared: readonly string[],
  mark: CacheUse,
  ageMs: number | null,
): HeaderPairs {
  const headers = [
    ...requestIdHeaders(dialect.error, id),
    'x-breakwater-attempts',
    '0',
    'x-breakwater-queue-ms',
    '0',
    'x-breakwater-cache',
    mark,
  ];
  if (ageMs !== null) headers.push('age', String(Math.max(0, Math.floor(ageMs / 1000))));
  headers.push('x-breakwater-cost-usd', '0', ...shared);
  return headers;
}

/** True if `bodyFor` may be called: a large response is not converted to another form. */
export function canServe(response: WholeResponse, { dialect, facts }: GatewayRequest): boolean {
  if (response.refusal !== null || (facts.operation !== 'chat' && facts.operation !== 'completions')) return true;
  return dialect.response.canConvertForm(response, { stream: facts.stream, usage: facts.wantsUsage });
}

/** The body in the form that `request` asks for. */
export function bodyFor(response: WholeResponse, { dialect, facts }: GatewayRequest): Uint8Array {
  if (response.refusal !== null || (facts.operation !== 'chat' && facts.operation !== 'completions')) return response.body;
  return dialect.response.convertForm(response, { stream: facts.stream, usage: facts.wantsUsage });
}

const STREAM_FORM = ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache', 'x-accel-buffering', 'no'];
const JSON_FORM = ['content-type', 'application/json'];
const FORM_HEADERS: ReadonlySet<string> = new Set(['content-type', 'cache-control', 'x-accel-buffering']);

/** `shared` with the headers of the form that the response is sent in. */
export function headersInForm(shared: readonly string[], wasStream: boolean, isStream: boolean): readonly string[] {
  if (wasStream === isStream) return shared;
  const headers = isStream ? [...STREAM_FORM] : [...JSON_FORM];
  for (let i = 0; i + 1 < shared.length; i += 2) if (!FORM_HEADERS.has(shared[i]!)) headers.push(shared[i]!, shared[i + 1]!);
  return headers;
}

/** Its size in memory, in bytes, with an estimate for objects and headers. */
export function sizeOf(response: WholeResponse): number {
  return response.body.byteLength + 1_024;
}
