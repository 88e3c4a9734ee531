import { wholeBody } from '../transport/transport.ts';
import type { UpstreamRequest } from '../transport/transport.ts';
import { PROMPT_MARKS, TEXT_MARKS } from './workload.ts';

/** A request as parsed by a simulated provider. */
export interface ProviderRequest {
  /** The body's `user` field, which a simulation uses to identify requests; empty if absent. */
  readonly id: string;
  readonly isEmbedding: boolean;
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly inputTokens: number;
  readonly outputBound: number | null;
}

/** Every image counts the same, whatever its size. */
const IMAGE_TOKENS = 1_000;
const BYTES_PER_TOKEN = 4;

/** Parses the body of a chat or embeddings request; invalid JSON counts as an empty request. */
export function parseProviderRequest(request: UpstreamRequest): ProviderRequest {
  const body = parse(wholeBody(request));
  const bound = body['max_completion_tokens'] ?? body['max_tokens'];
  const options = body['stream_options'];
  return {
    id: text(body['user']),
    isEmbedding: 'input' in body,
    model: text(body['model']),
    stream: body['stream'] === true,
    includeUsage: isRecord(options) && options['include_usage'] === true,
    inputTokens: Math.max(1, 'input' in body ? textTokensOf(body['input']) : inputTokensOf(body['messages'])),
    outputBound: typeof bound === 'number' ? bound : null,
  };
}

function inputTokensOf(messages: unknown): number {
  let bytes = 0;
  let media = 0;
  const add = (content: unknown): void => {
    if (typeof content === 'string') bytes += content.length;
    else if (Array.isArray(content)) for (const part of content) addPart(part);
  };
  const addPart = (part: unknown): void => {
    if (!isRecord(part)) return;
    if (part['type'] === 'image_url') media += IMAGE_TOKENS;
    else add(part['text']);
  };
  if (Array.isArray(messages)) {
    for (const message of messages) if (isRecord(message)) add(message['content']);
    bytes += messages.length * PROMPT_MARKS;
  }
  return Math.ceil(bytes / BYTES_PER_TOKEN) + media;
}

function textTokensOf(input: unknown): number {
  return Math.ceil((text(input).length + TEXT_MARKS) / BYTES_PER_TOKEN);
}

function parse(bytes: Uint8Array | null): Record<string, unknown> {
  if (bytes === null) return {};
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
