/** Anthropic's Messages API. */
import type { ParsedRequest, Dialect, Endpoint, Failure, Received } from '../dialect.ts';
import type { LimitState } from '../limits.ts';
import { lookup } from '../request.ts';
import type { Seals } from '../seals.ts';
import { toFailureResponse, toFailureEvent } from './failures.ts';
import { readCount, readMessages } from './messages.ts';
import type { MessagesHost } from './messages.ts';

export interface AnthropicParts {
  readonly models: readonly string[];
  readonly seals: Seals;
  /** The current time, for instants in rate-limit headers. */
  readonly epochMs: () => number;
}

/** Creates the dialect. */
export function createAnthropicDialect({ models, seals, epochMs }: AnthropicParts): Dialect {
  const host: MessagesHost = { seals, keyOf: anthropicKeyOf, version: 'header' };
  const posts = new Map<string, Endpoint>([
    ['/messages', { label: '/v1/messages', counted: true, read: (received) => readMessages(received, host) }],
    ['/messages/count_tokens', { label: '/v1/messages/count_tokens', counted: false, read: readCount }],
  ]);
  const list: Endpoint = { label: '/v1/models', counted: false, read: () => readModels(models) };
  const single: Endpoint = { label: '/v1/models/{id}', counted: false, read: (received) => readModel(models, received) };
  return {
    name: 'anthropic-messages',
    route({ method, path, headers }) {
      const bare = barePath(path);
      if (method === 'POST') return posts.get(bare);
      // OpenAI has the same path; only Anthropic clients send a version header.
      if (method !== 'GET' || headers['anthropic-version'] === undefined) return undefined;
      if (bare === '/models') return list;
      return bare.startsWith('/models/') ? single : undefined;
    },
    claims: (path) => barePath(path).startsWith('/messages'),
    keyOf: anthropicKeyOf,
    failure: toFailureResponse,
    failureEvent: toFailureEvent,
    limitHeaders: ({ requests, tokens, input, output }) => ({
      ...headersOf('requests', requests, epochMs),
      ...headersOf('tokens', tokens ?? together(input, output), epochMs),
      ...headersOf('input-tokens', input, epochMs),
      ...headersOf('output-tokens', output, epochMs),
    }),
    waits: 'seconds',
    requestIdHeader: 'request-id',
  };
}

/** Combines the limits of input and output. */
function together(input: LimitState | undefined, output: LimitState | undefined): LimitState | undefined {
  if (input === undefined || output === undefined) return input ?? output;
  const { limit, remaining, resetMs } = input;
  return { limit: limit + output.limit, remaining: remaining + output.remaining, resetMs: Math.max(resetMs, output.resetMs) };
}

function barePath(path: string): string {
  return path.replace(/^(?:\/anthropic)?(?:\/v1)?(?=\/)/, '');
}

function anthropicKeyOf({ headers }: Received): string {
  const { authorization, 'x-api-key': apiKey } = headers;
  if (authorization?.startsWith('Bearer ')) return authorization.slice(7);
  return typeof apiKey === 'string' ? apiKey : '';
}

function headersOf(what: string, state: LimitState | undefined, epochMs: () => number): Record<string, string> {
  if (state === undefined) return {};
  return {
    [`anthropic-ratelimit-${what}-limit`]: String(state.limit),
    [`anthropic-ratelimit-${what}-remaining`]: String(Math.floor(state.remaining)),
    [`anthropic-ratelimit-${what}-reset`]: new Date(epochMs() + state.resetMs).toISOString().replace(/\.\d+Z$/, 'Z'),
  };
}

function entryOf(id: string): Record<string, unknown> {
  return { type: 'model', id, display_name: id, created_at: '2025-06-15T00:00:00Z' };
}

function readModels(models: readonly string[]): ParsedRequest {
  return lookup({ data: models.map(entryOf), has_more: false, first_id: models[0] ?? null, last_id: models.at(-1) ?? null });
}

function readModel(models: readonly string[], { path }: Received): ParsedRequest | Failure {
  const id = path.slice(path.lastIndexOf('/models/') + '/models/'.length);
  return models.includes(id) ? lookup(entryOf(id)) : { reason: 'no-model', message: `model: ${id}` };
}
