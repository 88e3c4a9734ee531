import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Job } from '../../store/jobs/job-store.ts';
import type { JobHost } from '../host.ts';
import { BackgroundResponses } from './background.ts';

/** Prepares the request of a background response; returns the inputs that are stored for later references. */
async function prepare(stored: ReadonlyMap<string, string>, isDeleted = false): Promise<Record<string, string>> {
  const inputs = new Map(stored);
  const history = {
    of: async () => undefined,
    async restore(_client: string, id: string, body: Uint8Array) {
      if (inputs.has(id)) return false;
      inputs.set(id, Buffer.from(body).toString());
      return true;
    },
    delete: (_client: string, id: string) => void inputs.delete(id),
  };
  const store = { getJob: async () => (isDeleted ? null : {}) };
  const { kind } = new BackgroundResponses({ history, store } as unknown as JobHost, () => {});
  const job = { id: 'resp_bg_1', client: 'web', data: { forward: [], settings: {} } } as unknown as Job;
  await kind.extras!(job, Buffer.from('{"input":"hi"}'), () => {});
  return Object.fromEntries(inputs);
}

test('the input of a background response that a crash has lost is stored again when its request runs', async () => {
  assert.deepEqual(await prepare(new Map()), { resp_bg_1: '{"input":"hi"}' });
  assert.deepEqual(await prepare(new Map([['resp_bg_1', 'stored']])), { resp_bg_1: 'stored' });
});

test('nothing of a response that is deleted meanwhile stays stored', async () => {
  assert.deepEqual(await prepare(new Map(), true), {});
});
