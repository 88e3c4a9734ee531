import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseQuery, LeasedItem, OpenJob } from '../../store/jobs/job-store.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { DIALECTS } from '../../wire/dialects.ts';
import type { JobHost } from '../host.ts';
import type { JobKind } from '../kinds.ts';
import type { NativeData } from './native-host.ts';
import { NativeJob } from './native-job.ts';
import { NativeShared } from './native-shared.ts';

const HOUR_MS = 3_600_000;

function itemOf(n: number): LeasedItem {
  const body = Buffer.from('{"model":"fast","messages":[{"role":"user","content":"x"}]}');
  return { job: 'batch_1', n, lease: 1, customId: `c${n}`, body, strikes: 0, rounds: 0, repeated: 0 };
}

/** A job in progress. `lease` answers each lease in turn, `save` each change of the job. */
function stage(
  lease: (query: LeaseQuery, number: number) => readonly LeasedItem[] | Error,
  save: () => object | null = () => ({}),
  models = ['fast'],
) {
  const clock = createManualClock();
  const requeued: number[] = [];
  const runHere: number[] = [];
  const withheld = new Set<string>();
  const planned: unknown[] = [];
  const warnings: string[] = [];
  const leases: LeaseQuery[] = [];
  const job = {
    id: 'batch_1',
    client: 'web',
    dialect: 'openai-chat',
    path: '/chat/completions',
    models,
    data: {},
    ending: null,
    endsAtMs: clock.epochMs() + 24 * HOUR_MS,
  } as unknown as OpenJob;
  const client = { isFaulty: false, isGone: false };
  const state = {
    name: 'a/m',
    model: 'm',
    basePath: '/v1',
    headers: [],
    forwards: new Set(),
    repairs: { isEmpty: true },
    credential: { id: 'k', auth: [] },
    endpoint: { path: () => '/v1/chat/completions', defaultHeaders: [] },
    wire: { dialect: DIALECTS['openai-chat'] },
  };
  const host = {
    clock,
    random: createSeededRandom(1),
    client: () => {
      if (client.isFaulty) throw new Error('a fault of the encoding');
      return client.isGone ? null : { mayUse: () => true, isLimited: false };
    },
    native: { isOn: () => true, find: () => ({ api: 'openai', target: { state, set: {}, drop: [], policy: {} } }) },
    warn: (message: string, detail: string) => void warnings.push(`${message}: ${detail}`),
    store: {
      claimJob: async () => true,
      getJob: async () => job,
      changeJob: async (_: string, __: unknown, { data }: { data: { native: NativeData } }) => (planned.push(data.native.planned), save()),
      lease: async (query: LeaseQuery) => {
        const items = lease(query, leases.push(query));
        if (items instanceof Error) throw items;
        return { items, nextAtMs: null, hasMore: items.length > 0 };
      },
      requeueItem: async ({ n }: LeasedItem) => requeued.push(n) > 0,
    },
  } as unknown as JobHost;
  const runner = {
    number: 1,
    run: async (_: string, __: string, { n }: LeasedItem) => void runHere.push(n),
    known: () => [],
    allows: async (_: string, model: string) => !withheld.has(model),
    onQueued() {},
  };
  const { signal } = new AbortController();
  const shared = new NativeShared();
  const native = new NativeJob(host, runner, {} as JobKind, job, { stopping: signal, closing: signal, shared });
  const look = (change: Partial<OpenJob> = {}): void => native.look({ ...job, ...change });
  return { clock, client, native, look, requeued, runHere, leases, warnings, shared, withheld, planned };
}

test('an item whose encoding fails runs here, and the others are planned once', async () => {
  const { client, clock, native, look, runHere, leases, warnings } = stage((_, number) => (number === 1 ? [itemOf(0), itemOf(1)] : []));
  client.isFaulty = true;
  look();
  await clock.advanceAsync(60_000);
  assert.deepEqual([runHere, leases.length, native.isBusy, native.keeps('fast')], [[0, 1], 2, false, false]);
  assert.deepEqual(warnings, []);
});

test('items that were leased before a lease fails are queued again, also if the job is cancelled meanwhile', async () => {
  const { clock, native, look, requeued, leases } = stage((_, number) => (number === 1 ? [itemOf(0)] : number === 2 ? new Error('x') : []));
  look();
  await clock.advanceAsync(0);
  assert.deepEqual(requeued, [0]);
  look({ ending: 'cancelled' });
  await clock.advanceAsync(60_000);
  assert.deepEqual([requeued, leases.length, native.isBusy], [[0], 3, false]);
});

test('a lease whose reply was lost is undone, also if the job expires before the next one', async () => {
  const { clock, look, requeued, leases } = stage((_, number) => (number === 1 ? new Error('lost') : [itemOf(7)]));
  look();
  await clock.advanceAsync(0);
  look({ ending: 'expired' });
  await clock.advanceAsync(60_000);
  assert.deepEqual([leases.map(({ known }) => known), requeued], [[undefined, []], [7]]);
});

test('items leased for a job that another process holds are queued again', async () => {
  const { clock, look, requeued, runHere, native } = stage(
    (_, number) => (number === 1 ? [itemOf(0), itemOf(1)] : []),
    () => null,
  );
  look();
  await clock.advanceAsync(60_000);
  assert.deepEqual([requeued, runHere, native.isLost], [[0, 1], [], true]);
});

test('nothing is leased for a batch while the input of other jobs fills the memory for it', async () => {
  const { clock, look, leases, shared } = stage(() => []);
  const { signal } = new AbortController();
  assert.equal(await shared.inputs.take(60 * 1024 * 1024, signal), true);
  look();
  await clock.advanceAsync(60_000);
  assert.equal(leases.length, 0);
  shared.inputs.give(60 * 1024 * 1024);
  await clock.advanceAsync(0);
  assert.equal(leases.length, 1);
  assert.equal(await shared.inputs.take(64 * 1024 * 1024, signal), true, 'all of it was given back');
});

test('a model that the configuration does not allow is handed over once it is allowed, and does not delay another', async () => {
  const { clock, withheld, look, leases, planned, native, runHere } = stage(() => [], undefined, ['slow', 'fast']);
  withheld.add('slow');
  look();
  await clock.advanceAsync(60_000);
  assert.deepEqual([leases.map(({ model }) => model), planned, native.keeps('slow')], [['fast'], [['fast']], true]);
  withheld.clear();
  await clock.advanceAsync(3_000);
  assert.deepEqual([leases.map(({ model }) => model), planned.at(-1), runHere], [['fast', 'slow'], ['fast', 'slow'], []]);
  assert.deepEqual([native.isBusy, clock.pendingTimers], [false, 0]);
});

test('items whose client is removed while they are encoded are queued again, and their model is planned later', async () => {
  const { client, clock, look, requeued, runHere, planned, native } = stage((_, number) => (number === 1 ? [itemOf(0), itemOf(1)] : []));
  client.isGone = true;
  look();
  await clock.advanceAsync(0);
  assert.deepEqual([requeued, runHere, planned, native.keeps('fast')], [[0, 1], [], [], true]);
  client.isGone = false;
  await clock.advanceAsync(3_000);
  assert.deepEqual([planned, native.isBusy], [[['fast']], false]);
});

test('the wait for a model ends with the job', async () => {
  const { clock, withheld, look, native, leases } = stage(() => []);
  withheld.add('fast');
  look();
  await clock.advanceAsync(10_000);
  look({ ending: 'cancelled' });
  await clock.advanceAsync(0);
  assert.deepEqual([native.isBusy, clock.pendingTimers, leases.length], [false, 0, 0]);
});
