import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BreakwaterError } from '../core/errors.ts';
import type { Requeue, ItemResult, LeasedItem, OpenJob } from '../store/jobs/job-store.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { FailingItems } from './failing-items.ts';
import type { JobHost } from './host.ts';
import type { ItemSink } from './item-sink.ts';
import { ItemRun, type Lane } from './item-run.ts';
import type { JobKind } from './kinds.ts';
import { RoundOdds } from './round-odds.ts';

const ANY = { mayUse: () => true, isLimited: false };

/** Runs an item whose request is prepared by `extras`. */
async function run(
  extras: JobKind['extras'],
  hasRoom = true,
  {
    client = ANY,
    unavailable = [],
    rejected = false,
    body = '{"model":"m","input":"x"}',
  }: { client?: object | null; unavailable?: string[]; rejected?: boolean; body?: string } = {},
): Promise<{ completed: ItemResult[]; requeued: Requeue[]; handled: number; withheld: string | null }> {
  const completed: ItemResult[] = [];
  const requeued: Requeue[] = [];
  let handled = 0;
  const host = {
    clock: createManualClock(),
    random: createSeededRandom(1),
    client: () => client,
    async handle(_: unknown, sink: ItemSink) {
      handled++;
      if (!rejected) return;
      item.rejected({ code: 'model_not_found', message: 'unknown model' });
      sink.head(404, []);
      sink.end(Buffer.from('{"error":{"code":"model_not_found","message":"unknown model"}}'));
    },
    store: {
      completeItem: async (_: unknown, result: ItemResult) => void completed.push(result),
      requeueItem: async (_: unknown, requeue: Requeue) => void requeued.push(requeue),
    },
  } as unknown as JobHost;
  const job = { id: 'resp_1', client: 'web', dialect: 'openai-responses', path: '/responses', data: { unavailable } } as unknown as OpenJob;
  const lane = {
    job,
    model: 'm',
    kind: { extras } as JobKind,
    succeededAt: 0,
    failing: new FailingItems(),
    odds: new RoundOdds(),
    endsAt: Infinity,
  } as unknown as Lane;
  const leased = { job: 'resp_1', n: 0, lease: 1, body: Buffer.from(body) } as unknown as LeasedItem;
  const hooks = { sent: () => {}, reserve: () => hasRoom };
  const item = new ItemRun(host, lane, leased, hooks, new AbortController().signal);
  assert.equal(await item.run(), false);
  return { completed, requeued, handled, withheld: item.withheld?.code ?? null };
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

test('an item whose client, model or permission is gone is put back at once, without a round', async () => {
  const denied = { mayUse: () => false, isLimited: true };
  for (const [more, code] of [
    [{ client: null }, 'invalid_api_key'],
    [{ client: denied }, 'model_not_allowed'],
    [{ rejected: true }, 'model_not_found'],
  ] as const) {
    const { completed, requeued, withheld } = await run(async () => ({}), true, more);
    assert.deepEqual([completed.length, requeued.length, withheld], [0, 1, code]);
    const { round, strike, note, notBeforeMs } = requeued[0]!;
    assert.deepEqual([round, strike, note, notBeforeMs], [false, false, '', Date.UTC(2025, 0, 1)]);
  }
});

test('an item fails if its model was unavailable when the job was created', async () => {
  const denied = { mayUse: () => false, isLimited: true };
  const first = await run(async () => ({}), true, { client: denied, unavailable: ['m'] });
  assert.deepEqual([first.completed[0]?.error?.code, first.requeued.length, first.withheld], ['model_not_allowed', 0, null]);
  const second = await run(async () => ({}), true, { rejected: true, unavailable: ['m'] });
  assert.deepEqual([second.completed[0]?.status, second.requeued.length, second.withheld], [404, 0, null]);
});

test('an item that names a model its client may not use in another field ends with that reason', async () => {
  const client = { mayUse: (model: string) => model === 'm', isLimited: true };
  const body = '{"model":"m","models":["other"],"input":"x"}';
  const { completed, requeued, withheld } = await run(async () => ({}), true, { client, body });
  assert.deepEqual([completed[0]?.error?.code, requeued.length, withheld], ['model_not_allowed', 0, null]);
  assert.match(completed[0]!.error!.message, /may not use the model "other"/);
});
