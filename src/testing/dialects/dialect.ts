/** The interface of a dialect of the simulation: what its callers send and understand, and what its providers understand and send. */
import { isRecord } from '../../core/json.ts';
import type { SimulatedRequest } from '../workload.ts';
import type { SimulatedDialectName } from './names.ts';

export interface ResponseParts {
  readonly dialect: SimulatedDialectName;
  /** The content, as the chunks of a stream. */
  readonly words: readonly string[];
  readonly model: string;
  readonly usage: { readonly prompt: number; readonly cached: number; readonly completion: number };
  readonly finish: 'stop' | 'length';
  readonly includeUsage: boolean;
  readonly headers: Readonly<Record<string, string>>;
}

export interface SimulatedDialect {
  /** What a caller sends. */
  path(request: SimulatedRequest): string;
  /** The body as JSON, with a prompt of the request's size that ends with `mark`. */
  body(request: SimulatedRequest, mark: string): string;
  /** The response as its caller sees it. */
  readResponse(values: readonly Fields[]): ReadResponse;

  /** What a provider reads from a request. */
  readRequest(body: Fields, path: string): DialectRequest;
  /** The complete response. */
  whole(parts: ResponseParts): object;
  readonly stream: StreamWriter;
  error(status: number, message: string, waitMs: number | null): object;
}

export type Fields = Readonly<Record<string, unknown>>;

export interface ReadResponse {
  readonly content: string;
  /** Whether clients take the response for complete. */
  readonly isWhole: boolean;
  /** The code or type of the error; null if there is none. */
  readonly error: string | null;
}

/**
 * How token limits count output: by the output limit of the request (or the length of the response, without one) at admission, with what
 * was not generated returned at the end; as generated, at the end; or never.
 */
export type OutputCount = 'bound' | 'generated' | 'never';

/** The fields of a request that a simulated provider acts on. */
export interface DialectRequest {
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** The caller's name for the request; empty if absent. */
  readonly user: string;
  /** The texts of the prompt, and the number of its messages and images. */
  readonly texts: readonly string[];
  readonly messages: number;
  readonly images: number;
  readonly outputBound: number | null;
  readonly countsOutput: OutputCount;
}

/** The events of a stream, as bytes. */
export interface StreamWriter {
  /** Sent well before the first token. */
  opening(parts: ResponseParts): string;
  word(parts: ResponseParts, index: number): string;
  ending(parts: ResponseParts): string;
  error(message: string): string;
}

/** An event with the type of its data as its name. */
export function namedEvent(data: Fields & { readonly type: string }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

export function dataEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

export function records(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

/** The text of the first error among the values; null if there is none. */
export function errorIn(values: readonly Fields[]): string | null {
  const error = values.find((value) => value['error'] != null)?.['error'];
  if (error === undefined) return null;
  if (!isRecord(error)) return 'error';
  return textOf(error['code']) || textOf(error['type']) || textOf(error['status']) || 'error';
}
