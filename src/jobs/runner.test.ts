import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lease, LeaseQuery, OpenJob } from '../store/jobs/job-store.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import type { JobHost, RequestListeners } from './host.ts';
import type { ItemSink } from './item-sink.ts';
import type { JobKind } from './kinds.ts';
import { Registration } from './registration.ts';
import { JobRunner } from './runner.ts';

const IDENTITY = { machine: 'here', pid: 1, startedAtMs: 1 };
const NONE: Lease = { items: [], nextAtMs: null, hasMore: false };
const MIB = 1024 * 1024;

function openJob(n: number, more: Partial<OpenJob> = {}): OpenJob {
  const counts = { total: 10, succeeded: 0, failed: 0, costUsd: 0, priced: 0 };
  const common = { kind: 'batch', client: 'web', dialect: 'openai-chat', path: '/chat/completions', priority: 'job', data: {} };
  return {
    id: `batch_${n}`,
    ...common,
    ...counts,
    state: 'in_progress',
    ending: null,
    createdAtMs: 0,
    endsAtMs: 1e15,
    models: ['fast'],
    ...more,
  };
}

function createRunner(open: OpenJob[], store: object, kind: object = {}, more: object = {}) {
  const clock = createManualClock();
  const host = {
    clock,
    random: createSeededRandom(1),
    isShared: false,
    hasJobs: async () => true,
    warn: (message: string, detail: string) => assert.fail(`${message}: ${detail}`),
    native: { isOn: () => false },
    onRequests: () => () => {},
    client: () => ({ mayUse: () => true, isLimited: false }),
    hasModel: async () => true,
    handle: () => new Promise(() => {}),
    store: { register: async () => 7, beat: async () => open, sweep: async () => false, lease: async () => NONE, ...store },
    ...more,
  } as unknown as JobHost;
  const registration = new Registration(host, IDENTITY);
  const runner = new JobRunner(host, new Map([['batch', kind as JobKind]]), registration);
  return { runner, registration, clock };
}

/** Lets all calls of the store that can end do so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('jobs that other runners are receiving do not keep a later job from its validation', async () => {
  const open = [1, 2, 3].map((n) => openJob(n, { state: 'receiving' }));
  const claims: (() => void)[] = [];
  const prepared: string[] = [];
  const { runner } = createRunner(
    [...open, openJob(4, { state: 'validating' })],
    { claimJob: (id: string) => new Promise((resolve) => void claims.push(() => resolve(id === 'batch_4'))) },
    { prepare: async (job: OpenJob) => new Promise(() => prepared.push(job.id)) },
  );
  runner.wake();
  await settle();
  assert.equal(claims.length, 2);
  while (claims.length > 0) {
    claims.shift()!();
    await settle();
  }
  assert.deepEqual(prepared, ['batch_4']);
});

test('at most two jobs are validated at the same time, and the next starts when one has ended', async () => {
  const ends: (() => void)[] = [];
  const prepared: string[] = [];
  const open = [1, 2, 3].map((n) => openJob(n, { state: 'validating' }));
  const prepare = (job: OpenJob): Promise<void> => {
    prepared.push(job.id);
    return new Promise((resolve) => ends.push(resolve));
  };
  const { runner } = createRunner(open, { claimJob: async () => true }, { prepare });
  runner.wake();
  await settle();
  assert.deepEqual(prepared, ['batch_1', 'batch_2']);
  open.shift();
  ends[0]!();
  await settle();
  assert.deepEqual(prepared, ['batch_1', 'batch_2', 'batch_3']);
});

test('leases in progress count towards the memory for bodies, and the next starts once their size is known', async () => {
  const answers: ((lease: Lease) => void)[] = [];
  const asked: string[] = [];
  const lease = ({ job, bytesMax }: LeaseQuery): Promise<Lease> => {
    assert.equal(bytesMax, 8 * MIB);
    asked.push(job);
    return new Promise((resolve) => answers.push(resolve));
  };
  const { runner } = createRunner(
    Array.from({ length: 20 }, (_, n) => openJob(n)),
    { lease },
  );
  runner.wake();
  await settle();
  assert.equal(asked.length, 8, '64 MiB');
  const item = { job: 'batch_0', n: 0, lease: 1, customId: 'c', strikes: 0, rounds: 0, repeated: 0 };
  answers[0]!({ ...NONE, items: [{ ...item, body: new Uint8Array(8 * MIB) }] });
  await settle();
  assert.equal(asked.length, 8, 'the item takes what its lease reserved');
  answers[1]!(NONE);
  await settle();
  assert.deepEqual(asked.slice(8), ['batch_8']);
});

test('creations cost no lease calls for other jobs, which are checked again every three seconds', async () => {
  const asked: string[] = [];
  const lease = async ({ job }: LeaseQuery): Promise<Lease> => {
    asked.push(job);
    return NONE;
  };
  const open = [openJob(1), openJob(2)];
  const { runner, clock } = createRunner(open, { lease });
  runner.wake();
  await settle();
  assert.deepEqual(asked.splice(0), ['batch_1', 'batch_2']);
  open.push(openJob(3));
  clock.advance(2_000);
  runner.wake();
  await settle();
  assert.deepEqual(asked.splice(0), ['batch_3']);
  clock.advance(1_000);
  runner.wake();
  await settle();
  assert.deepEqual(asked.splice(0), ['batch_1', 'batch_2', 'batch_3']);
});

test('the end of a job is estimated from what it has completed in the last minutes, and is that of its window at the latest', async () => {
  const open = [openJob(1, { total: 100 })];
  const { runner, clock } = createRunner(open, {});
  const beatAt = async (seconds: number, change: Partial<OpenJob>): Promise<number | null> => {
    open[0] = { ...open[0]!, ...change };
    clock.advance(seconds * 1_000 - clock.now());
    runner.wake();
    await settle();
    const endMs = runner.open.probableEndMs('batch_1');
    return endMs === null ? null : (endMs - clock.epochMs()) / 1_000;
  };
  assert.equal(await beatAt(0, {}), null, 'nothing is known yet');
  assert.equal(await beatAt(60, { succeeded: 20, failed: 10 }), 140, '70 are left, at one in two seconds');
  assert.equal(await beatAt(120, { succeeded: 50 }), 80);
  assert.equal(await beatAt(130, { endsAtMs: clock.epochMs() + 30_000 }), 20);
  assert.equal(await beatAt(600, { endsAtMs: 1e15 }), null, 'nothing has ended in the last minutes');
  const batches = [{ items: 10 }];
  assert.equal(await beatAt(610, { succeeded: 60, data: { native: { batches, planned: [] } } }), null, 'the provider has a part');
});

test('a store without jobs is not opened until there are some', async () => {
  let hasJobs = false;
  const calls: string[] = [];
  const noted = {
    register: async () => calls.push('register'),
    beat: async () => (calls.push('beat'), []),
    sweep: async () => (calls.push('sweep'), false),
    unregister: async () => void calls.push('unregister'),
  };
  const { runner, clock } = createRunner([], noted, {}, { hasJobs: async () => hasJobs });
  runner.start();
  clock.advance(1_000);
  await settle();
  assert.deepEqual(calls, []);
  hasJobs = true;
  clock.advance(300_000);
  await settle();
  assert.deepEqual(calls, ['register', 'beat', 'sweep', 'unregister']);
});

test('a job that is created while the store is asked for jobs is seen', async () => {
  let answer: (hasJobs: boolean) => void = () => {};
  let beats = 0;
  const counted = { beat: async () => (beats++, []), unregister: async () => {} };
  const { runner, registration } = createRunner([], counted, {}, { hasJobs: () => new Promise((resolve) => (answer = resolve)) });
  runner.wake();
  await registration.receive('batch_1');
  answer(false);
  await settle();
  assert.equal(beats, 1);
});

test('items of a client that is gone wait in the store: only those leased before are put back, and a reload starts them', async () => {
  const found: { value: object | null } = { value: { mayUse: () => true, isLimited: false } };
  const asked: number[] = [];
  const requeued: number[] = [];
  const reasons: unknown[] = [];
  let [sent, n] = [0, 0];
  const { runner, clock } = createRunner(
    [openJob(1, { total: 50_000 })],
    {
      async lease({ countMax }: LeaseQuery): Promise<Lease> {
        asked.push(countMax);
        const common = { job: 'batch_1', lease: 1, customId: 'c', strikes: 0, rounds: 0, repeated: 0 };
        const body = Buffer.from('{"model":"fast","messages":[]}');
        if (asked.length === 2) found.value = null; // while these are leased
        return { ...NONE, hasMore: true, items: Array.from({ length: countMax }, () => ({ ...common, body, n: n++ })) };
      },
      requeueItem: async (item: { n: number }) => void requeued.push(item.n),
      markSent: async () => true,
      changeJob: async (_id: string, _from: unknown, change: { data: Record<string, unknown> }) => {
        reasons.push(change.data['waiting fast']);
        return openJob(1, { data: change.data });
      },
    },
    {},
    {
      client: () => found.value,
      warn: () => {},
      async handle({ beforeSending }: { beforeSending: () => Promise<void> }) {
        sent++;
        await beforeSending();
        await new Promise(() => {}); // the first ones run on
      },
    },
  );
  runner.wake();
  await settle();
  assert.deepEqual([asked.length, sent], [2, asked[0]]);
  assert.deepEqual(requeued.length, asked[1]);
  await clock.advanceAsync(100_000);
  assert.deepEqual([asked.length, reasons.length, requeued.length], [2, 1, asked[1]]);
  found.value = { mayUse: () => true, isLimited: false };
  runner.configChanged();
  await settle();
  assert.ok(asked.length > 2 && sent > asked[0]!, 'while earlier items run');
  assert.equal(reasons[1], null);
});

test('a lane whose items the gateway refuses although the configuration allows them is tried every three seconds', async () => {
  const asked: number[] = [];
  const listeners: RequestListeners[] = [];
  const { runner, clock } = createRunner(
    [openJob(1)],
    {
      async lease({ countMax }: LeaseQuery): Promise<Lease> {
        asked.push(countMax);
        const item = { job: 'batch_1', n: 0, lease: asked.length, customId: 'c', strikes: 0, rounds: 0, repeated: 0 };
        return { ...NONE, hasMore: true, items: [{ ...item, body: Buffer.from('{"model":"fast","messages":[]}') }] };
      },
      requeueItem: async () => {},
    },
    {},
    {
      onRequests: (listener: RequestListeners) => (listeners.push(listener), () => {}),
      async handle({ id }: { id: string }, sink: ItemSink) {
        listeners.at(-1)!.rejected(id, { code: 'model_not_found', message: 'unknown model' });
        sink.head(404, []);
        sink.end(Buffer.from('{}'));
      },
    },
  );
  runner.wake();
  await clock.advanceAsync(9_000);
  assert.ok(asked.length >= 4 && asked.length <= 8, `${asked.length}: a lease at each check, and one that was in progress`);
  await runner.stop();
});
