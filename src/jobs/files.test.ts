import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { Files } from './files.ts';
import type { JobHost } from './host.ts';

test('an upload that has expired before its end is refused', async () => {
  const store = { createFile: async () => true, finishFile: async () => false };
  const host = { clock: createManualClock(), random: createSeededRandom(1), settings: () => ({}), store } as unknown as JobHost;
  const upload = await new Files(host, () => {}).begin('web');
  await assert.rejects(upload.finish({ purpose: 'batch', filename: 'in.jsonl', expiresAtMs: 1e15 }), /the upload took too long/);
});
