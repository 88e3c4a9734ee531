import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ItemError, JobChange, JobData } from '../store/jobs/job-store.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import type { JobHost } from './host.ts';
import { LaneHolds, waitingReasons, type HeldLane } from './lane-holds.ts';

const OVER = { code: 'batch_expired', message: 'over' };

/** A job in a store, which `instance` opens with a configuration of its own. */
function setUp(models = ['fast'], data: JobData = {}) {
  const clock = createManualClock();
  const warnings: string[] = [];
  const saved: unknown[] = [];
  const ended: [string, string | undefined][] = [];
  const stored = { id: 'b', client: 'web', data };
  const store = {
    async changeJob(_id: string, _from: unknown, change: JobChange) {
      saved.push(change.data);
      stored.data = { ...stored.data, ...change.data };
      return stored;
    },
    endQueued: async (_id: string, { message }: ItemError, model?: string) => (ended.push([message, model]), 0),
  };
  const instance = () => {
    const config = { models: new Set(models), hasClient: true, mayUse: true };
    const host = {
      clock,
      store,
      warn: (_: string, detail: string) => warnings.push(detail),
      client: () => (config.hasClient ? { mayUse: () => config.mayUse } : null),
      hasModel: async (model: string) => config.models.has(model),
    } as unknown as JobHost;
    const lanes = new Map(models.map((model): [string, HeldLane] => [model, { job: { ...stored }, model, hold: null }]));
    const holds = new LaneHolds(host, lanes, new AbortController().signal);
    const beat = (): void => lanes.forEach((lane) => (lane.job = { ...stored }));
    return { config, lanes, lane: lanes.get('fast')!, holds, beat };
  };
  return { clock, warnings, saved, ended, stored, instance };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a lane is held while its client, its permission or its model is gone, and is free as soon as it is back', async () => {
  for (const [change, code] of [
    [{ hasClient: false }, 'invalid_api_key'],
    [{ mayUse: false }, 'model_not_allowed'],
    [{ models: new Set<string>() }, 'model_not_found'],
  ] as const) {
    const { instance, saved, warnings, clock, stored } = setUp();
    const { config, holds, lane } = instance();
    const before = { ...config };
    assert.deepEqual([await holds.allows(lane), saved], [true, []]);
    Object.assign(config, change);
    const sinceMs = clock.epochMs();
    for (let i = 0; i < 3; i++) {
      assert.equal(await holds.allows(lane), false);
      await settle();
      clock.advance(1_000);
    }
    assert.deepEqual([saved.length, warnings.length, clock.pendingTimers], [1, 1, 0]);
    const { message, ...reason } = waitingReasons(stored)[0]!;
    assert.deepEqual([reason, message], [{ model: 'fast', code, sinceMs }, warnings[0]]);
    Object.assign(config, before);
    assert.equal(await holds.allows(lane), true);
    await settle();
    assert.deepEqual([lane.hold, waitingReasons(stored), saved.length], [null, [], 2]);
  }
});

test('one warning for a job and a reason; all models that wait are saved, and expire with their reason', async () => {
  const { instance, warnings, ended, stored } = setUp(['fast', 'other', 'third']);
  const { config, holds, lanes } = instance();
  config.models = new Set(['third']);
  for (const lane of lanes.values()) await holds.allows(lane);
  assert.deepEqual(warnings, ['unknown model "fast"']);
  await settle();
  assert.deepEqual(
    waitingReasons(stored).map(({ model }) => model),
    ['fast', 'other'],
  );
  await holds.expire(stored, OVER);
  assert.deepEqual(ended, [
    ['over; it waited for the configuration: unknown model "fast"', 'fast'],
    ['over; it waited for the configuration: unknown model "other"', 'other'],
    ['over', undefined],
  ]);
});

test('after a restart a lane that still waits keeps its reason, without another warning', async () => {
  const reason = { model: 'fast', code: 'model_not_found', message: 'unknown model "fast"', sinceMs: 5 };
  const { instance, saved, warnings, stored } = setUp(['fast'], { 'waiting fast': reason });
  const { config, holds, lane } = instance();
  config.models.clear();
  await holds.allows(lane);
  config.models.add('fast');
  assert.deepEqual([lane.hold, saved, warnings], [reason, [], []]);
  await holds.allows(lane);
  await settle();
  assert.deepEqual(waitingReasons(stored), []);
});

test('each of two instances changes only the reason of the model it reads, and one that may run a model removes its reason', async () => {
  const { instance, stored, ended } = setUp(['fast', 'other']);
  const [first, second] = [instance(), instance()];
  first.config.models.delete('fast');
  second.config.models.delete('other');
  await first.holds.allows(first.lane);
  await second.holds.allows(second.lanes.get('other')!);
  await settle();
  assert.equal(waitingReasons(stored).length, 2);
  await second.holds.expire(stored, OVER);
  assert.equal(ended.length, 3, 'the reason of the first instance, too');
  second.beat();
  assert.equal(await second.holds.allows(second.lane), true);
  await settle();
  assert.deepEqual(
    waitingReasons(stored).map(({ model }) => model),
    ['other'],
  );
  first.beat();
  assert.equal(await first.holds.allows(first.lane), false);
  await settle();
  assert.equal(waitingReasons(stored).length, 1, 'it is not saved again');
});

test('a reason that ends while it is being saved is removed', async () => {
  const { instance, stored, saved } = setUp();
  const { config, holds, lane } = instance();
  config.models.clear();
  await holds.allows(lane);
  config.models.add('fast');
  await holds.allows(lane);
  await settle();
  assert.deepEqual([waitingReasons(stored), saved.length], [[], 2]);
});
