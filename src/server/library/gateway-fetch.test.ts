import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BreakwaterError } from '../../core/errors.ts';
import { errorResponse } from '../../pipeline/delivery/error-response.ts';
import type { GatewayClient } from '../../transport/gateway-client.ts';
import { ERRORS } from '../../wire/dialects.ts';
import { GatewayCalls } from './gateway-calls.ts';
import { createGatewayFetch } from './gateway-fetch.ts';
import type { GatewayWatch } from './gateway-watch.ts';

/** `answer`: the gateway's; null: it is not alive. */
function stage(answer: (() => Response) | null) {
  const seen = { local: 0, lost: 0 };
  const watch = {
    isAlive: answer !== null,
    onLost: () => () => {},
    lost: () => void seen.lost++,
  } as unknown as GatewayWatch;
  const ask = createGatewayFetch({
    watch,
    calls: new GatewayCalls(watch),
    client: { fetch: async () => answer!() } as unknown as GatewayClient,
    url: 'http://gateway',
    key: null,
    local: async () => (seen.local++, new Response('{}')),
  });
  return {
    seen,
    ask: (path: string, body?: string) => ask(`http://breakwater${path}`, body === undefined ? {} : { method: 'POST', body }),
  };
}

test('what the gateway keeps is unavailable without it, under each form of its path', async () => {
  const { seen, ask } = stage(null);
  for (const path of [
    '/v1/files',
    '/files',
    '/v1/v1/batches/batch_1',
    '/openai/v1/files?api-version=1',
    '/openai/v1/batches',
    '/v1/%66iles',
    '/v1//files',
    '/openai/v1/responses/resp_1',
    '/v1/messages/batches',
    '/anthropic/v1/messages/batches',
    '/admin/queue',
    '/metrics',
  ])
    assert.equal((await ask(path)).status, 503, path);
  const background = '{"model":"m","background":true}';
  for (const path of ['/v1/responses', '/openai/v1/responses']) assert.equal((await ask(path, background)).status, 503, path);
  assert.equal(seen.local, 0);
  for (const path of ['/v1/models', '/v1/responses', '/openai/v1/chat/completions', '/v1/messages', '/v1/%zz']) await ask(path, '{}');
  assert.equal(seen.local, 5);
});

test('an error of what the gateway keeps is in the form of its path', async () => {
  const { ask } = stage(null);
  const read = async (path: string): Promise<unknown> => Object.keys((await (await ask(path)).json()) as object).sort();
  assert.deepEqual(await read('/v1/files'), ['error']);
  for (const path of ['/v1/messages/batches', '/anthropic/v1/messages/batches/b_1', '/messages/batches'])
    assert.deepEqual(await read(path), ['error', 'request_id', 'type'], path);
});

test('a provider error that mentions a shutdown is passed on, and the gateway is not lost', async () => {
  const body = JSON.stringify({ error: { message: 'The model server is shutting down.', type: 'server_error', code: null } });
  for (const status of [502, 503, 504]) {
    const { seen, ask } = stage(() => new Response(body, { status, headers: { 'x-request-id': 'req_1' } }));
    const response = await ask('/v1/chat/completions', '{}');
    assert.deepEqual([response.status, await response.text(), seen], [status, body, { local: 0, lost: 0 }]);
  }
});

test('a gateway that refuses because it shuts down is lost, in each protocol', async () => {
  for (const dialect of Object.values(ERRORS)) {
    for (const message of ['this server is shutting down; retry', 'this instance is shutting down; retry']) {
      const error = new BreakwaterError('shutting_down', message, { retryAfterMs: 1_000 });
      const { status, body } = errorResponse(dialect, error, 'req_1', null);
      const { seen, ask } = stage(() => new Response(new Uint8Array(body), { status, headers: { 'x-request-id': 'req_1' } }));
      await ask('/v1/chat/completions', '{}');
      assert.deepEqual(seen, { local: 1, lost: 1 });
    }
  }
});
