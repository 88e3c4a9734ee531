import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { createManualClock } from '../../testing/manual-clock.ts';
import { StoreFailure } from '../backend.ts';
import { testJobContract } from '../jobs/job-contract.test-suite.ts';
import { createSqliteJobs } from './sqlite-jobs.ts';
import { tempFile } from './temp-file.test-suite.ts';
import { createWorkerBackend } from './worker-backend.ts';

const LIMITS = { bytesMax: 1e9, openJobsMax: 10 };

testJobContract({
  name: 'sqlite',
  async open(t) {
    const clock = createManualClock();
    const path = tempFile(t);
    return createSqliteJobs(path, createWorkerBackend({ path, clock }), clock);
  },
});

test('a damaged file: every call fails, and works again once the file is repaired', async (t) => {
  const path = tempFile(t);
  const clock = createManualClock();
  writeFileSync(path, 'this is no database. '.repeat(500));
  const store = createSqliteJobs(path, createWorkerBackend({ path, clock }), clock);
  t.after(() => store.close());
  const file = { id: 'f', client: 'web', createdAtMs: 1, expiresAtMs: 1e12 };
  const isCorrupt = (error: unknown): boolean => error instanceof StoreFailure && error.fault === 'corrupt';
  await assert.rejects(store.createFile(file, LIMITS), isCorrupt);
  writeFileSync(path, '');
  await assert.rejects(store.createFile(file, LIMITS), isCorrupt, 'it waits before it reconnects');
  clock.advance(1_000);
  assert.equal(await store.createFile(file, LIMITS), true);
});

test('two processes share a file: each sees the writes of the other, and an item is leased by one of them', async (t) => {
  const path = tempFile(t);
  const clock = createManualClock();
  const [one, two] = [1, 2].map(() => createSqliteJobs(path, createWorkerBackend({ path, clock }), clock));
  t.after(() => Promise.all([one!.close(), two!.close()]));
  const runners = [
    await one!.register({ machine: 'a', pid: 1, startedAtMs: 1 }, 1),
    await two!.register({ machine: 'b', pid: 2, startedAtMs: 1 }, 1),
  ];
  const job = { kind: 'k', client: 'web', dialect: 'd', path: '/p', priority: 'job', createdAtMs: 1, endsAtMs: 9, data: {} };
  await one!.createJob({ id: 'j', ...job }, LIMITS);
  await one!.claimJob('j', runners[0]!);
  const items = Array.from({ length: 200 }, (_, n) => ({ n, customId: `${n}`, model: 'm', body: new Uint8Array(10) }));
  await one!.addItems('j', runners[0]!, items, LIMITS);
  const seen: number[] = [];
  const takeAll = async (store: typeof one, runner: number): Promise<void> => {
    for (;;) {
      const lease = await store!.lease({ runner, job: 'j', model: 'm', countMax: 7, bytesMax: 1e6, nowMs: 5 });
      if (lease.items.length === 0) return;
      seen.push(...lease.items.map(({ n }) => n));
    }
  };
  await Promise.all([takeAll(one, runners[0]!), takeAll(two, runners[1]!)]);
  assert.deepEqual(
    seen.sort((a, b) => a - b),
    items.map(({ n }) => n),
  );
});
