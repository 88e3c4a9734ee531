import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BreakwaterError } from '../core/errors.ts';
import type { Requeue, ItemResult, LeasedItem, OpenJob } from '../store/jobs/job-store.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { FailingItems } from './failing-items.ts';
import type { JobHost } from './host.ts';
import { ItemRun, type Lane } from './item-run.ts';
import type { JobKind } from './kinds.ts';
import { RoundOdds } from './round-odds.ts';

/** Runs an item whose request is prepared by `extras`. */
async function run(extras: JobKind['extras'], hasRoom = true): Promise<{ completed: ItemResult[]; requeued: Requeue[]; handled: number }> {
  const completed: ItemResult[] = [];
  const requeued: Requeue[] = [];
  let handled = 0;
  const host = {
    clock: createManualClock(),
    random: createSeededRandom(1),
    client: () => ({ mayUse: () => true, isLimited: false }),
    handle: async () => void handled++,
    store: {
      completeItem: async (_: unknown, result: ItemResult) => void completed.push(result),
      requeueItem: async (_: unknown, requeue: Requeue) => void requeued.push(requeue),
    },
  } as unknown as JobHost;
  const job = { id: 'resp_1', client: 'web', dialect: 'openai-responses', path: '/responses', data: {} } as unknown as OpenJob;
  const lane = {
    job,
    kind: { extras } as JobKind,
    succeededAt: 0,
    failing: new FailingItems(),
    odds: new RoundOdds(),
    endsAt: Infinity,
  } as unknown as Lane;
  const item = { job: 'resp_1', n: 0, lease: 1, body: Buffer.from('{"model":"m","input":"x"}') } as unknown as LeasedItem;
  const hooks = { sent: () => {}, hold: () => hasRoom };
  assert.equal(await new ItemRun(host, lane, item, hooks, new AbortController().signal).run(), false);
  return { completed, requeued, handled };
}

test('an item whose request cannot be prepared is requeued, and the round does not count', async () => {
  const { completed, requeued, handled } = await run(async () => {
    throw new Error('the disk is away');
  });
  assert.deepEqual([completed.length, handled, requeued.length], [0, 0, 1]);
  const { round, strike, note } = requeued[0]!;
  assert.deepEqual([round, strike, note], [false, false, 'the disk is away']);
});

test('an item without memory for its conversation is requeued too', async () => {
  const { completed, requeued } = await run(async (_job, _body, hold) => {
    hold(1_000);
    return {};
  }, false);
  assert.deepEqual([completed.length, requeued.length], [0, 1]);
});

test('an item fails if its reference makes the request invalid', async () => {
  const { completed, requeued } = await run(async () => {
    throw new BreakwaterError('invalid_request', 'the conversation is too deep');
  });
  assert.deepEqual([completed[0]?.error?.message, requeued.length], ['the conversation is too deep', 0]);
});
