import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnthropicApi } from './anthropic-api.ts';
import type { NativeRecord } from './native-host.ts';
import { KnownRemotes } from './native-shared.ts';
import { OpenaiApi } from './openai-api.ts';
import type { ProviderClient } from './provider-client.ts';

const RECORD = { items: 2, createdAtMs: Date.UTC(2026, 0, 1) } as NativeRecord;

function batch(id: string, second: number): object {
  return { id, created_at: new Date(RECORD.createdAtMs + second * 1_000).toISOString(), request_counts: { processing: 0, succeeded: 2 } };
}

function clientOf(status: number, json: object | null): ProviderClient {
  return { call: async () => ({ status, json, message: '', retryAfterMs: null }) } as unknown as ProviderClient;
}

test('the search for a batch leaves out those that belong to another record', async () => {
  const known = new KnownRemotes(10);
  known.add('former');
  const find = (...data: object[]) => new AnthropicApi(clientOf(200, { data })).find(RECORD, known);
  assert.deepEqual(await find(batch('former', -30), batch('own', 1)), { remote: 'own', isGuess: true });
  assert.deepEqual(await find(batch('former', -30)), { remote: null, isGuess: true });
  assert.equal(await find(batch('a', 1), batch('b', 1)), null);
});

test('a cancellation counts as accepted only with status 200', async () => {
  for (const [status, isAccepted] of [
    [200, true],
    [429, false],
    [503, false],
    [0, false],
  ] as const) {
    // prettier-ignore
    assert.equal(await new AnthropicApi(clientOf(status, null)).cancel('b'), isAccepted);
    assert.equal(await new OpenaiApi(clientOf(status, null), '/v1').cancel('b'), isAccepted);
  }
});
