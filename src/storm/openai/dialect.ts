/** The OpenAI dialect: its paths, keys, failures and rate-limit headers. */
import type { Dialect, Endpoint } from '../dialect.ts';
import type { LimitState } from '../limits.ts';
import { byteEndpoints } from './byte-endpoints.ts';
import { readChat } from './chat.ts';
import { readCompletions } from './completions.ts';
import { readEmbeddings } from './embeddings.ts';
import { toFailureResponse, toFailureEvent } from './failures.ts';
import { toGoDuration } from './go-duration.ts';
import { readModel, readModels } from './models.ts';

/** Creates the dialect, which lists `models`. */
export function createOpenAiDialect(models: readonly string[]): Dialect {
  const posts = new Map<string, Endpoint>([
    ['/chat/completions', { label: '/v1/chat/completions', counted: true, read: readChat }],
    ['/completions', { label: '/v1/completions', counted: true, read: readCompletions }],
    ['/embeddings', { label: '/v1/embeddings', counted: true, read: readEmbeddings }],
    ...byteEndpoints(),
  ]);
  const list: Endpoint = { label: '/v1/models', counted: false, read: readModels(models) };
  const single: Endpoint = { label: '/v1/models/{id}', counted: false, read: readModel(models) };
  return {
    ...OPENAI_HOUSE,
    name: 'openai-chat',
    route({ method, path }) {
      const bare = barePath(path);
      if (method === 'POST') return posts.get(bare);
      if (method !== 'GET') return undefined;
      if (bare === '/models') return list;
      return bare.startsWith('/models/') ? single : undefined;
    },
    claims: () => false,
    failureEvent: toFailureEvent,
  };
}

/** A path without its version prefix. */
export function barePath(path: string): string {
  return path.startsWith('/v1/') ? path.slice(3) : path;
}

/** Shared by all OpenAI dialects: keys, failures and rate-limit headers. */
export const OPENAI_HOUSE: Pick<Dialect, 'keyOf' | 'failure' | 'limitHeaders' | 'requestIdHeader'> = {
  keyOf({ headers }) {
    const { authorization, 'api-key': apiKey } = headers;
    if (authorization?.startsWith('Bearer ')) return authorization.slice(7);
    return typeof apiKey === 'string' ? apiKey : '';
  },
  failure: toFailureResponse,
  limitHeaders: ({ requests, tokens }) => ({ ...headersOf('requests', requests), ...headersOf('tokens', tokens) }),
  requestIdHeader: 'x-request-id',
};

function headersOf(what: string, state: LimitState | undefined): Record<string, string> {
  if (state === undefined) return {};
  return {
    [`x-ratelimit-limit-${what}`]: String(state.limit),
    [`x-ratelimit-remaining-${what}`]: String(Math.floor(state.remaining)),
    [`x-ratelimit-reset-${what}`]: toGoDuration(state.resetMs),
  };
}
