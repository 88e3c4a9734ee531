import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ItemError, JobChange } from '../store/jobs/job-store.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import type { JobHost } from './host.ts';
import { LaneHolds, waitingReasons, type HeldLane } from './lane-holds.ts';

const GONE = { code: 'model_not_found', message: 'unknown model "fast"' };

function setUp(models = ['fast'], data = {}) {
  const clock = createManualClock();
  const warnings: string[] = [];
  const saved: unknown[] = [];
  const ended: [string, string | undefined][] = [];
  const store = {
    changeJob: async (_id: string, _from: unknown, { data: changed }: JobChange) => void saved.push(changed!['waiting']),
    endQueued: async (_id: string, { message }: ItemError, model?: string) => (ended.push([message, model]), 0),
  };
  const host = { clock, store, warn: (_: string, detail: string) => warnings.push(detail) } as unknown as JobHost;
  const lanes = new Map(models.map((model): [string, HeldLane] => [model, { job: { id: 'b', data }, model, runs: new Set(), hold: null }]));
  const pumped: string[] = [];
  const holds = new LaneHolds(host, lanes, new AbortController().signal, ({ model }) => pumped.push(model));
  return { clock, warnings, saved, ended, lanes, holds, pumped, lane: lanes.get('fast')! };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a lane that is held is tried again with one item, after 1 s, later every 30 s', () => {
  const { clock, holds, lane, pumped, warnings } = setUp();
  assert.equal(holds.room(lane, 4), 4);
  const delays: number[] = [];
  for (let i = 0; i < 7; i++) {
    holds.hold(lane, GONE);
    holds.hold(lane, GONE); // items that were leased together
    const since = clock.now();
    pumped.length = 0;
    while (pumped.length === 0) {
      assert.equal(holds.room(lane, 4), 0);
      clock.advance(500);
    }
    assert.equal(holds.room(lane, 4), 1);
    delays.push((clock.now() - since) / 1_000);
  }
  assert.deepEqual(delays, [1, 2, 4, 8, 16, 30, 30]);
  assert.deepEqual(warnings, [GONE.message]);
  assert.equal(clock.pendingTimers, 0);
});

test('a reload is followed by a try at once, and an item that is allowed ends the hold', async () => {
  const { clock, holds, lane, pumped, saved } = setUp();
  for (let i = 0; i < 9; i++) {
    holds.hold(lane, GONE);
    clock.advance(30_000);
  }
  holds.hold(lane, GONE);
  clock.advance(10);
  pumped.length = 0;
  holds.retry();
  assert.deepEqual([pumped, holds.room(lane, 4), clock.pendingTimers], [['fast'], 1, 0]);
  holds.release(lane, clock.now() - 1);
  assert.notEqual(lane.hold, null, 'an item from before the try');
  holds.release(lane, clock.now());
  assert.deepEqual([lane.hold, holds.room(lane, 4)], [null, 4]);
  await settle();
  assert.deepEqual(saved, [[{ model: 'fast', ...GONE, sinceMs: Date.UTC(2025, 0, 1) }], null]);
});

test('one warning for a job and a reason; all models that wait are saved, and expire with their reason', async () => {
  const { holds, lanes, lane, warnings, saved, ended } = setUp(['fast', 'other', 'third']);
  holds.hold(lane, GONE);
  holds.hold(lanes.get('other')!, { ...GONE, message: 'unknown model "other"' });
  assert.deepEqual(warnings, [GONE.message]);
  await settle();
  assert.deepEqual(
    (saved.at(-1) as { model: string }[]).map(({ model }) => model),
    ['fast', 'other'],
  );
  await holds.expire('b', { code: 'batch_expired', message: 'over' });
  assert.deepEqual(ended, [
    ['over; it waited for the configuration: unknown model "fast"', 'fast'],
    ['over; it waited for the configuration: unknown model "other"', 'other'],
    ['over', undefined],
  ]);
});

test('after a restart a lane that waited is tried with one item, and keeps its reason', async () => {
  const reason = { model: 'fast', ...GONE, sinceMs: 5 };
  const { clock, holds, lane, lanes, saved } = setUp(['fast', 'other'], { waiting: [reason] });
  for (const each of lanes.values()) holds.restore(each);
  assert.deepEqual([holds.room(lane, 4), holds.room(lanes.get('other')!, 4)], [1, 4]);
  assert.deepEqual(waitingReasons(lane.job), [reason]);
  holds.release(lane, clock.now());
  await settle();
  assert.deepEqual(saved, [null]);
});

test('a lane that ends leaves no timer', () => {
  const { clock, holds, lane } = setUp();
  holds.hold(lane, GONE);
  assert.equal(clock.pendingTimers, 1);
  holds.forget(lane);
  assert.equal(clock.pendingTimers, 0);
});
