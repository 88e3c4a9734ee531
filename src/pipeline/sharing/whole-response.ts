/** One complete answer, kept for those who ask for the same again: what tells of it, and how it goes out. */
import type { HeaderPairs } from '../../core/headers.ts';
import { requestIdHeaders } from '../delivery/error-response.ts';
import type { CacheUse } from '../../core/events.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { CachePolicy } from '../../policy/cache/freshness.ts';
import type { Dialect, ErrorWords } from '../../wire/dialect.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';

export interface WholeAnswer {
  readonly status: number;
  /** Names and values in turn of what is true for everybody who gets this answer. */
  readonly headers: readonly string[];
  readonly body: Uint8Array;
  readonly isStream: boolean;
  /** Of a stream: its events tell the usage. */
  readonly tellsUsage: boolean;
  readonly usage: TokenUsage | null;
  /** What it says as an error, of an answer that no other attempt could better; null: it is no error. */
  readonly refusal: ErrorWords | null;
  /** When it was whole, in milliseconds since the Unix epoch. */
  readonly madeAtMs: number;
}

/** What an answer is kept for, beside its readers. */
export interface AnswerPurpose {
  /** Null: it is not for the cache. */
  readonly cacheKey: string | null;
  readonly policy: CachePolicy;
  readonly dialect: Dialect;
}

/** What is said anew to each request, or counted anew. */
const OF_ONE_REQUEST: ReadonlySet<string> = new Set([
  'x-request-id', 'request-id', 'x-breakwater-attempts', 'x-breakwater-queue-ms', 'x-breakwater-cost-usd', 'x-breakwater-cache', 'age', 'content-length',
]); // prettier-ignore

/** The headers of an answer without those of the one request that it was made for. */
export function sharedHeaders(headers: readonly string[]): string[] {
  const shared: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (!OF_ONE_REQUEST.has(headers[i]!)) shared.push(headers[i]!, headers[i + 1]!);
  }
  return shared;
}

/** The headers of an answer that cost the request nothing. `shared`: see `sharedHeaders`. */
export function headersAgain(
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

/** True if `bodyFor` may be called: of a large answer nothing but its own form is given. */
export function canServe(answer: WholeAnswer, { dialect, facts }: GatewayRequest): boolean {
  if (answer.refusal !== null || (facts.operation !== 'chat' && facts.operation !== 'completions')) return true;
  return dialect.response.canBeInForm(answer, { stream: facts.stream, usage: facts.wantsUsage });
}

/** The bytes that answer `request`. */
export function bodyFor(answer: WholeAnswer, { dialect, facts }: GatewayRequest): Uint8Array {
  if (answer.refusal !== null || (facts.operation !== 'chat' && facts.operation !== 'completions')) return answer.body;
  return dialect.response.inForm(answer, { stream: facts.stream, usage: facts.wantsUsage });
}

const STREAM_FORM = ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache', 'x-accel-buffering', 'no'];
const PLAIN_FORM = ['content-type', 'application/json'];
const OF_THE_FORM: ReadonlySet<string> = new Set(['content-type', 'cache-control', 'x-accel-buffering']);

/** `shared` headers for the form in which the answer goes out. */
export function headersInForm(shared: readonly string[], wasStream: boolean, isStream: boolean): readonly string[] {
  if (wasStream === isStream) return shared;
  const headers = isStream ? [...STREAM_FORM] : [...PLAIN_FORM];
  for (let i = 0; i + 1 < shared.length; i += 2) if (!OF_THE_FORM.has(shared[i]!)) headers.push(shared[i]!, shared[i + 1]!);
  return headers;
}

export function headerIn(headers: readonly string[], name: string): string | null {
  for (let i = 0; i + 1 < headers.length; i += 2) if (headers[i] === name) return headers[i + 1]!;
  return null;
}

/** What it takes in memory, in bytes; objects and headers are reckoned. */
export function sizeOf(answer: WholeAnswer): number {
  return answer.body.byteLength + 1_024;
}
