import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeasedItem, TakeBack } from '../../store/jobs/job-store.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import type { JobHost } from '../host.ts';
import type { BatchApi, FoundBatch, RemoteBatch, RemoteResult } from './batch-api.ts';
import { NativeBatch, type BatchOwner } from './native-batch.ts';
import type { NativeRecord, NativeTarget } from './native-host.ts';

const ENDED: RemoteBatch = { state: 'ended', results: ['/files/out'], message: '', expected: 2 };

function resultOf(n: number): RemoteResult {
  return { customId: `nb_1-${n}`, kind: 'done', body: Buffer.from('{}'), requestId: null, message: '' };
}

/** A batch of two items. `downloads`: what each download of its results returns; an Error ends it. */
function stage(downloads: readonly (RemoteResult | Error)[][], find: () => FoundBatch | null = () => null) {
  const clock = createManualClock();
  const stopping = new AbortController();
  const log: string[] = [];
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
  const owner: BatchOwner = {
    runner: 1,
    stopping: stopping.signal,
    closing: new AbortController().signal,
    ending: new AbortController().signal,
    endsBecause: null,
    save: async () => {},
    run: (_, { n }) => new Promise((resolve) => runs.push(() => resolve(void log.push(`ran ${n}`)))),
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
  return { batch, record, clock, log, runs, stopping };
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
    const { batch, record, log } = stage([], () => ({ remote: null }));
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
