import { isRecord } from '../core/json.ts';
import { wholeBody } from '../transport/transport.ts';
import type { UpstreamRequest } from '../transport/transport.ts';
import { DIALECTS, dialectOfPath } from './dialects.ts';
import { textOf, type Fields, type OutputCount } from './dialects/dialect.ts';
import type { SimulatedDialectName } from './dialects/names.ts';
import { markedIn } from './prompt-text.ts';
import { PROMPT_MARKS, TEXT_MARKS } from './workload.ts';

/** A request as parsed by a simulated provider. */
export interface ProviderRequest {
  /** The body's `user` field, or the mark at the end of its prompt, by which a simulation identifies requests; empty if absent. */
  readonly id: string;
  /** The dialect of the call. */
  readonly dialect: SimulatedDialectName;
  readonly isEmbedding: boolean;
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly inputTokens: number;
  readonly outputBound: number | null;
  readonly countsOutput: OutputCount;
}

/** Every image counts the same, whatever its size. */
const IMAGE_TOKENS = 1_000;
const BYTES_PER_TOKEN = 4;

/** Parses the body of a request; invalid JSON counts as an empty request. */
export function parseProviderRequest(request: UpstreamRequest): ProviderRequest {
  const body = parse(wholeBody(request));
  const dialect = dialectOfPath(request.path);
  if (dialect === 'openai-chat' && 'input' in body) return embeddingsRequest(body);
  const { texts, messages, images, user, ...read } = DIALECTS[dialect].readRequest(body, request.path);
  const bytes = texts.reduce((sum, text) => sum + text.length, messages * PROMPT_MARKS);
  const inputTokens = Math.max(1, Math.ceil(bytes / BYTES_PER_TOKEN) + images * IMAGE_TOKENS);
  return { ...read, id: user || markedIn(texts.at(-1) ?? ''), dialect, isEmbedding: false, inputTokens };
}

function embeddingsRequest(body: Fields): ProviderRequest {
  return {
    id: textOf(body['user']),
    dialect: 'openai-chat',
    isEmbedding: true,
    model: textOf(body['model']),
    stream: false,
    includeUsage: false,
    inputTokens: Math.max(1, Math.ceil((textOf(body['input']).length + TEXT_MARKS) / BYTES_PER_TOKEN)),
    outputBound: null,
    countsOutput: 'bound',
  };
}

function parse(bytes: Uint8Array | null): Fields {
  if (bytes === null) return {};
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}
