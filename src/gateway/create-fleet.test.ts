import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventBus, LifecycleEvent, WarningEvent } from '../core/events.ts';
import type { SharedStoreListener } from '../store/shared-store.ts';
import type { Store } from '../store/store.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { createFleet, leaveFleet } from './create-fleet.ts';

/** An instance whose shared store has the members that the test sets. */
function stage(isLinked = true) {
  const clock = createManualClock();
  const calls: string[] = [];
  const staged = { clock, calls, members: ['a', 'b'], listener: null as SharedStoreListener | null };
  const store = {
    responses: { flush: async () => void calls.push('responses saved') },
    shared: {
      member: 'a',
      open: (listener: SharedStoreListener) => void (staged.listener = listener),
      exchange: async () => ({ members: staged.members, grants: [] }),
      publish: () => {},
      leave: async () => void calls.push('left'),
    },
  } as unknown as Store;
  const details: (string | undefined)[] = [];
  const warnings: string[] = [];
  const emit = (event: LifecycleEvent | WarningEvent): void => {
    if (event.type === 'warning') warnings.push(event.message);
    else details.push(event.detail);
  };
  const events = { on: () => {}, emit } as unknown as EventBus;
  const parts = {
    engine: () => ({ admission: { pump: () => {} } }),
    targets: () => ({ all: () => [] }),
    gateway: {
      config: { cluster: { expectedInstances: 1 }, providers: {}, models: {}, clients: [] },
      jobs: { wake: () => void calls.push('jobs woken') },
    },
  } as unknown as Parameters<typeof createFleet>[3];
  const fleet = createFleet(store, clock, events, parts)!;
  void fleet.start();
  if (isLinked) staged.listener!.linked(true);
  return { ...staged, staged, store, fleet, details, warnings };
}

test('jobs are looked for when another instance takes the place of one that has left', async () => {
  const { staged, clock, calls } = stage();
  await clock.advanceAsync(2_000);
  assert.deepEqual(calls, []);
  staged.members = ['a', 'c'];
  await clock.advanceAsync(2_000);
  assert.deepEqual(calls, ['jobs woken']);
});

test('responses are saved before the instance leaves the fleet', async () => {
  const { clock, calls, fleet, store } = stage();
  await clock.advanceAsync(100);
  await leaveFleet(fleet, store, clock);
  assert.deepEqual(calls, ['responses saved', 'left']);
});

test('changes of the fleet are described with their number', async () => {
  const { staged, clock, details } = stage();
  await clock.advanceAsync(1_000);
  staged.members = ['a'];
  await clock.advanceAsync(2_000);
  assert.deepEqual(details, ['2 instances share the limits', 'this instance alone uses the limits']);
});

test('other settings at another instance are a warning after 30 s, and their end is logged', async () => {
  const { staged, clock, fleet, details, warnings } = stage();
  await clock.advanceAsync(1_000);
  staged.listener!.message('settings\nis\nb\nother\nhost-b, process 7');
  staged.listener!.message('settings\nhas\nb\nother\n{"client web requestsPerMinute":"5"}');
  await clock.advanceAsync(40_000);
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0]!,
    /differ from those of host-b, process 7: client web requestsPerMinute is absent here, 5 at host-b, process 7\. Limits hold only/,
  );
  assert.match(fleet.differences!, /host-b/);
  staged.members = ['a'];
  await clock.advanceAsync(2_000);
  assert.deepEqual([details.at(-1), fleet.differences], ['all instances have the same settings', null]);
});

test('an instance that starts without the store logs the share that it uses, once', async () => {
  const { staged, clock, details } = stage(false);
  await clock.advanceAsync(3_000);
  assert.equal(details.length, 1);
  assert.match(details[0]!, /does not respond.*the whole of each limit, as no other instance is known/);
  staged.listener!.linked(true);
  await clock.advanceAsync(100);
  assert.deepEqual(details.slice(1), ['2 instances share the limits']);
});
