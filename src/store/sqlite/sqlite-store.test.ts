import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../testing/manual-clock.ts';
import { testStoreContract } from '../contract.test-suite.ts';
import { openSqliteStore } from './sqlite-store.ts';
import { tempFile } from './temp-file.test-suite.ts';

testStoreContract({
  name: 'sqlite',
  open: (t, clock, limits) =>
    openSqliteStore(tempFile(t), {
      clock,
      onWarning: () => {},
      ...(limits && { limits }),
    }),
});

test('a store without files and jobs says so, and one with a file that another process created', async (t) => {
  const path = tempFile(t);
  const clock = createManualClock();
  const store = await openSqliteStore(path, { clock, onWarning: () => {} });
  const other = await openSqliteStore(path, { clock, onWarning: () => {}, warnsOfSharing: false });
  t.after(() => Promise.all([store.close(), other.close()]));
  assert.equal(await store.hasJobs?.(), false);
  const file = { id: 'f', client: 'web', createdAtMs: 1, expiresAtMs: 1e12 };
  await other.jobs!.createFile(file, { bytesMax: 1e9, openJobsMax: 10 });
  assert.equal(await store.hasJobs?.(), true);
});
