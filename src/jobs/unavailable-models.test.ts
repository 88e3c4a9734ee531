import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobHost } from './host.ts';
import { unavailableModels } from './unavailable-models.ts';

test('a model counts as unavailable only if it is known to be: not while a list of models cannot be read, or the client is gone', async () => {
  const known = new Map([['yes', true], ['no', false], ['unread', null]]); // prettier-ignore
  const host = {
    client: (name: string) => (name === 'web' ? { mayUse: (model: string) => model !== 'denied' } : null),
    hasModel: async (model: string) => known.get(model),
  } as unknown as JobHost;
  assert.deepEqual(await unavailableModels(host, 'web', ['yes', 'no', 'unread', 'denied']), ['no', 'denied']);
  assert.deepEqual(await unavailableModels(host, 'gone', ['no', 'denied']), []);
});
