import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeasedItem, TakeBack } from '../../store/jobs/job-store.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import type { JobHost } from '../host.ts';
import { ProviderRefusal, type BatchApi, type FoundBatch, type RemoteBatch, type RemoteResult } from './batch-api.ts';
import { NativeBatch, type BatchOwner } from './native-batch.ts';
import type { NativeRecord, NativeTarget } from './native-host.ts';
import { KnownRemotes } from './native-shared.ts';

const ENDED: RemoteBatch = { state: 'ended', results: ['/files/out'], message: '', expected: 2 };

function resultOf(n: number): RemoteResult {
  return { customId: `nb_1-${n}`, kind: 'done', body: Buffer.from('{}'), requestId: null, message: '' };
}

/** A batch of two items. `downloads`: what each download of its results returns; an Error ends it. */
function stage(downloads: readonly (RemoteResult | Error)[][], find: () => FoundBatch | null = () => null, more: Partial<BatchApi> = {}) {
  const clock = createManualClock();
  const stopping = new AbortController();
  const log: string[] = [];
  const isAllowed = { value: true };
  /** The items that run here until the test ends them. */
  const runs: (() => void)[] = [];
  let download = 0;
  const held = new Set([0, 1]);
  const api = {
    get: async () => ENDED,
    find: async () => find(),
    async *results() {
      for (const result of downloads[download++]!) {
        if (result instanceof Error) throw result;
        yield result;
      }
      await Promise.resolve();
    },
    cleanUp: async () => void log.push('files deleted'),
    ...more,
  } as unknown as BatchApi;
  const host = {
    clock,
    random: createSeededRandom(1),
    warn() {},
    store: {
      takeBack: async ({ n }: TakeBack) => (held.delete(n) ? ({ n } as LeasedItem) : null),
      endHandover: async ({ round, repeated }: { round: boolean; repeated: boolean }) => {
        if (held.size > 0) log.push(`queued ${[...held].join()}${round ? ', a round' : ''}${repeated ? ', repeated' : ''}`);
        const { size } = held;
        held.clear();
        return size;
      },
    },
  } as unknown as JobHost;
  const owner = {
    runner: 1,
    stopping: stopping.signal,
    closing: new AbortController().signal,
    ending: new AbortController().signal,
    endsBecause: null as BatchOwner['endsBecause'],
    remotes: new KnownRemotes(10),
    save: async () => {},
    allows: async () => isAllowed.value,
    run: (_: string, { n }: LeasedItem) => new Promise<void>((resolve) => runs.push(() => resolve(void log.push(`ran ${n}`)))),
  };
  const record: NativeRecord = {
    id: 'nb_1',
    model: 'fast',
    target: 'a/m',
    credential: 'k',
    items: 2,
    createdAtMs: 0,
    takeBackAtMs: Infinity,
    stage: 'running',
    file: null,
    remote: 'batch_1',
  };
  const batch = new NativeBatch(host, 'job_1', owner, record, { target: {} } as NativeTarget, api);
  return { batch, record, clock, log, runs, stopping, owner, isAllowed };
}

test('results of an incomplete download that are being processed are waited for before the next one', async () => {
  const { batch, clock, log, runs } = stage([
    [resultOf(0), new Error('cut')],
    [resultOf(0), resultOf(1)],
  ]);
  let isOver = false;
  const running = batch.run().then(() => (isOver = true));
  await clock.advanceAsync(60_000);
  assert.deepEqual([runs.length, isOver, log], [1, false, []]);
  runs.shift()!();
  await clock.advanceAsync(60_000);
  assert.deepEqual([runs.length, log], [1, ['ran 0']]);
  runs.shift()!();
  await running;
  assert.deepEqual([isOver, log], [true, ['ran 0', 'ran 1', 'files deleted']]);
});

test('a batch that was never created returns its items without a round, whatever was uploaded', async () => {
  for (const stageBefore of ['uploading', 'creating'] as const) {
    const { batch, record, log } = stage([], () => ({ remote: null, isGuess: false }));
    Object.assign(record, { stage: stageBefore, remote: null });
    assert.equal(await batch.resume(), false);
    assert.deepEqual(log, ['queued 0,1', 'files deleted'], stageBefore);
  }
});

test('a search that a stop interrupts decides nothing', async () => {
  const { batch, record, clock, log, stopping } = stage([]);
  Object.assign(record, { stage: 'creating', remote: null });
  const resumed = batch.resume();
  await clock.advanceAsync(3_000);
  stopping.abort();
  assert.equal(await resumed, true);
  await batch.run();
  assert.deepEqual([log, record.stage], [[], 'creating']);
});

const RUNNING: RemoteBatch = { state: 'running', results: [], message: '', expected: null };

test('a cancellation is repeated at each poll until the provider accepts it', async () => {
  let cancels = 0;
  const polled = { get: async () => RUNNING, cancel: async () => ++cancels === 3 };
  const { batch, clock, owner, stopping } = stage([], undefined, polled);
  owner.endsBecause = 'cancelled';
  const running = batch.run();
  await clock.advanceAsync(0);
  assert.equal(cancels, 1);
  await clock.advanceAsync(120_000);
  assert.equal(cancels, 3);
  stopping.abort();
  await running;
});

test('a batch found only by resemblance is not cancelled, and its items are marked if the results are not theirs', async () => {
  const results = [{ ...resultOf(0), customId: 'other-0' }, { ...resultOf(1), customId: 'other-1' }]; // prettier-ignore
  const cancelled: string[] = [];
  const guess = { remote: 'batch_7', isGuess: true };
  const cancel = async (remote: string) => cancelled.push(remote) > 0;
  const ended = stage([results], () => guess, { cancel });
  Object.assign(ended.record, { stage: 'creating', remote: null });
  assert.equal(await ended.batch.resume(), true);
  await ended.batch.run();
  assert.deepEqual(ended.log, ['queued 0,1, a round, repeated', 'files deleted']);

  const late = stage([], () => guess, { cancel, get: async () => RUNNING });
  Object.assign(late.record, { stage: 'creating', remote: null });
  await late.batch.resume();
  late.owner.endsBecause = 'cancelled';
  const running = late.batch.run();
  await late.clock.advanceAsync(120_000);
  await running;
  await late.batch.abandon();
  assert.deepEqual([late.log[0], cancelled], ['queued 0,1, a round, repeated', []]);
});

test('a creation that the provider refuses with an error of its own takes no batch that resembles it', async () => {
  const busy = {
    status: 529,
    json: { type: 'error', error: { message: 'Overloaded' } },
    message: 'status 529: Overloaded',
    retryAfterMs: null,
  };
  const cut = { status: 0, json: null, message: 'ECONNRESET', retryAfterMs: null };
  const page = { status: 502, json: null, message: 'status 502', retryAfterMs: null };
  for (const { reply, remote, finds } of [
    { reply: busy, remote: 'batch_new', finds: 0 },
    { reply: cut, remote: 'batch_7', finds: 1 },
    { reply: page, remote: 'batch_7', finds: 1 },
  ]) {
    let [creations, searches] = [0, 0];
    const create = async (): Promise<string> => {
      if (++creations === 1) throw new ProviderRefusal('the creation of the batch failed', reply);
      return 'batch_new';
    };
    const find = (): FoundBatch => ({ remote: 'batch_7', isGuess: ++searches > 0 });
    const { batch, record, clock, owner } = stage([], find, { upload: async () => null, create, findsExactly: false });
    Object.assign(record, { stage: 'uploading', remote: null });
    const submitted = batch.submit({ path: '', headers: [], parts: [] });
    await clock.advanceAsync(10_000);
    assert.deepEqual([await submitted, record.remote, searches, owner.remotes.has(remote)], [true, remote, finds, true]);
  }
});

test('a batch ends once its files are deleted, or after ten seconds', async () => {
  let deleted = (): void => {};
  const cleanUp = () => new Promise<void>((resolve) => (deleted = resolve));
  for (const isDeleted of [true, false]) {
    const { batch, clock, runs } = stage([[resultOf(0), resultOf(1)]], undefined, { cleanUp });
    let isOver = false;
    const running = batch.run().then(() => (isOver = true));
    await clock.advanceAsync(0);
    for (const end of runs.splice(0)) end();
    await clock.advanceAsync(5_000);
    assert.equal(isOver, false);
    if (isDeleted) deleted();
    await clock.advanceAsync(isDeleted ? 0 : 5_000);
    await running;
    assert.equal(clock.pendingTimers, 0);
  }
});

test('the batch of a deleted job is cancelled until that is accepted, and its files are deleted', async () => {
  let cancels = 0;
  const { batch, clock, log } = stage([], undefined, { get: async () => RUNNING, cancel: async () => ++cancels === 2 });
  const abandoned = batch.abandon();
  await clock.advanceAsync(60_000);
  await abandoned;
  assert.deepEqual([cancels, log], [2, ['files deleted']]);
});

test('results stay at the provider while the configuration does not allow them, also when the batch would be taken back', async () => {
  const { batch, record, clock, log, runs, isAllowed, owner } = stage(
    Array.from({ length: 1_000 }, () => [resultOf(0), resultOf(1)]),
    undefined,
    { cancel: async () => true },
  );
  isAllowed.value = false;
  Object.assign(record, { takeBackAtMs: clock.epochMs() + 60_000 });
  const running = batch.run();
  await clock.advanceAsync(3_600_000);
  assert.deepEqual([log, runs.length], [[], 0]);
  assert.ok(clock.pendingTimers <= 1);
  isAllowed.value = true;
  await clock.advanceAsync(75_000);
  for (const end of runs.splice(0)) end();
  await running;
  assert.deepEqual([log, owner.endsBecause], [['ran 0', 'ran 1', 'files deleted'], null]);
});

test('results that the configuration never allows are given up with the job', async () => {
  const { batch, clock, log, isAllowed, owner } = stage(
    Array.from({ length: 1_000 }, () => [resultOf(0), resultOf(1)]),
    undefined,
    {
      cancel: async () => true,
    },
  );
  isAllowed.value = false;
  owner.endsBecause = 'expired';
  const running = batch.run();
  await clock.advanceAsync(120_000);
  await running;
  assert.deepEqual(log, ['queued 0,1, a round, repeated', 'files deleted']);
});

test('a configuration that changes while results are read keeps the rest of them at the provider', async () => {
  const { batch, clock, log, runs, isAllowed } = stage(
    Array.from({ length: 10 }, () => [resultOf(0), resultOf(1)]),
    undefined,
    {},
  );
  let asked = 0;
  Object.defineProperty(isAllowed, 'value', { get: () => ++asked !== 2, configurable: true });
  const running = batch.run();
  await clock.advanceAsync(0);
  for (const end of runs.splice(0)) end();
  await clock.advanceAsync(1);
  assert.deepEqual(log, ['ran 0']);
  await clock.advanceAsync(10_000);
  for (const end of runs.splice(0)) end();
  await running;
  assert.deepEqual(log, ['ran 0', 'ran 1', 'files deleted']);
});
