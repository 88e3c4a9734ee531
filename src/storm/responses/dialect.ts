/** OpenAI's Responses API. */
import type { Dialect, Endpoint, Failure } from '../dialect.ts';
import { toFailureEvent } from '../openai/failures.ts';
import { OPENAI_HOUSE, barePath } from '../openai/dialect.ts';
import type { Seals } from '../seals.ts';
import { readCreate } from './create.ts';
import type { ResponsesParts } from './create.ts';
import { readCancel, readCompact, readDeletion, readInputItems, readInputTokens, readLookup } from './lookups.ts';
import { createResponseStore } from './store.ts';
import { errorEvent, failedEvent, failedResponse } from './write.ts';

const UPGRADE: Failure = { reason: 'status', status: 426, message: 'This endpoint does not speak WebSocket.', code: 'upgrade_required' };

/** Creates the dialect with its own store. */
export function createResponsesDialect(seals: Seals): Dialect {
  const parts: ResponsesParts = { seals, store: createResponseStore(), keyOf: OPENAI_HOUSE.keyOf };
  const called = (label: string, read: Endpoint['read']): Endpoint => ({ label, counted: true, read });
  const uncounted = (label: string, read: Endpoint['read']): Endpoint => ({ label, counted: false, read });
  const single = '/v1/responses/{id}';
  const posts = new Map<string, Endpoint>([
    ['/responses', called('/v1/responses', (received) => readCreate(received, parts))],
    ['/responses/compact', called('/v1/responses/compact', (received) => readCompact(received, parts))],
    ['/responses/input_tokens', uncounted('/v1/responses/input_tokens', (received) => readInputTokens(received, parts))],
  ]);
  const cancel = uncounted(`${single}/cancel`, (received) => readCancel(received, parts));
  const gets: readonly [RegExp, Endpoint][] = [
    [/^\/responses$/, uncounted('/v1/responses', () => UPGRADE)],
    [/^\/responses\/[^/]+$/, uncounted(single, (received) => readLookup(received, parts))],
    [/^\/responses\/[^/]+\/input_items$/, uncounted(`${single}/input_items`, (received) => readInputItems(received, parts))],
  ];
  const deletion = uncounted(single, (received) => readDeletion(received, parts));
  return {
    ...OPENAI_HOUSE,
    name: 'openai-responses',
    route({ method, path }) {
      const bare = barePath(path);
      if (!bare.startsWith('/responses')) return undefined;
      if (method === 'POST') return posts.get(bare) ?? (/^\/responses\/[^/]+\/cancel$/.test(bare) ? cancel : undefined);
      if (method === 'DELETE') return /^\/responses\/[^/]+$/.test(bare) ? deletion : undefined;
      return method === 'GET' ? gets.find(([pattern]) => pattern.test(bare))?.[1] : undefined;
    },
    claims: (path) => barePath(path).startsWith('/responses'),
    failureEvent: (failure, sent) => (failure.shape === undefined ? errorEvent(failure, sent) : toFailureEvent(failure)),
    reset: () => parts.store.clear(),
    failedEvent,
    failedBody: failedResponse,
  };
}
