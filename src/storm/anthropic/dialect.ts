/** Anthropic's Messages API as Storm speaks it. */
import type { Dialect, Endpoint } from '../dialect.ts';
import type { LimitState } from '../limits.ts';
import { toFailureAnswer, toFailureEvent } from './failures.ts';
import { readCount, readMessages } from './messages.ts';

/** `epochMs`: now, for the instants in limit headers. */
export function createAnthropicDialect(epochMs: () => number): Dialect {
  const posts = new Map<string, Endpoint>([
    ['/messages', { label: '/v1/messages', counted: true, read: readMessages }],
    ['/messages/count_tokens', { label: '/v1/messages/count_tokens', counted: false, read: readCount }],
  ]);
  const headersOf = (what: string, state: LimitState | undefined): Record<string, string> => {
    if (state === undefined) return {};
    return {
      [`anthropic-ratelimit-${what}-limit`]: String(state.limit),
      [`anthropic-ratelimit-${what}-remaining`]: String(Math.floor(state.remaining)),
      [`anthropic-ratelimit-${what}-reset`]: new Date(epochMs() + state.resetMs).toISOString().replace(/\.\d+Z$/, 'Z'),
    };
  };
  return {
    route(method, path) {
      const bare = path.startsWith('/v1/') ? path.slice(3) : path;
      return method === 'POST' ? posts.get(bare) : undefined;
    },
    keyOf(headers) {
      const { authorization, 'x-api-key': apiKey } = headers;
      if (authorization?.startsWith('Bearer ')) return authorization.slice(7);
      return typeof apiKey === 'string' ? apiKey : '';
    },
    failure: toFailureAnswer,
    failureEvent: toFailureEvent,
    limitHeaders: (requests, tokens) => ({ ...headersOf('requests', requests), ...headersOf('tokens', tokens) }),
  };
}
