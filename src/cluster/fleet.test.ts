import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FlightPart, FlightStore } from '../store/flight-store.ts';
import type { SharedStore, SharedStoreListener } from '../store/shared-store.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { Fleet } from './fleet.ts';

test('a message that can not be read is ignored, and the next one is read', async () => {
  let listener: SharedStoreListener | null = null;
  const published: string[] = [];
  const shared: SharedStore = {
    member: 'a',
    open: (given) => void (listener = given),
    exchange: () => Promise.resolve({ members: ['a', 'b'], grants: [] }),
    publish: (text) => void published.push(text),
    leave: () => Promise.resolve(),
  };
  const appended: FlightPart[] = [];
  const flights = {
    append: (_id: string, parts: readonly FlightPart[]) => Promise.resolve(void appended.push(...parts)),
    close: () => Promise.resolve(),
  } as unknown as FlightStore;
  const clock = createManualClock();
  const fleet = new Fleet({
    clock,
    shared,
    flights,
    subjects: () => [],
    onGranted: () => {},
    onAdopted: () => {},
    onFleet: () => {},
    onJobs: () => {},
    expectedInstances: () => 1,
    figures: () => ({ waiting: 0, waitingByPriority: {}, inFlight: 1, oldestMs: 0, inFlightByTarget: {} }),
  });
  const started = fleet.start();
  listener!.linked(true);
  await clock.advanceAsync(100);
  await started;
  const asked = fleet.survey();
  const urgency = { priority: 'normal', remainingMs: 1_000 };
  const unreadable = ['', '\n', 'survey', `survey\nreport\na\n1\nb\n{`, 'survey\nreport\na\n1\nb', 'health\n{', 'health\n{"news":[null]}'];
  for (const text of [
    ...unreadable,
    'flight\nfollow\na.1\n{',
    'flight\nfollow\na.1\n{}\nb.0',
    'flight\nfollow\na.1',
    'flight',
    'unknown\nx',
  ])
    listener!.message(text);
  listener!.message('survey\nask\nb\n1');
  listener!.message(`flight\nfollow\na.1\n${JSON.stringify(urgency)}\nb.1`);
  assert.equal(published.filter((text) => text.startsWith('survey\nreport\nb\n1\na\n')).length, 1);
  assert.deepEqual(
    appended.map(({ kind, meta }) => [kind, meta]),
    [['gone', '"b.1"']],
  );
  await clock.advanceAsync(200);
  assert.equal((await asked).reported, 1);
  await fleet.leave();
});
