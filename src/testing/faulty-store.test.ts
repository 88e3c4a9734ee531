import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFaultyDisk, openFaultyStore } from './faulty-store.ts';
import { createManualClock } from './manual-clock.ts';
import { createSeededRandom } from './seeded-random.ts';

/** What happened to a store in five virtual minutes, as text. */
async function history(seed: number): Promise<string> {
  const clock = createManualClock();
  const random = createSeededRandom(seed);
  const disk = createFaultyDisk({ clock, random });
  const store = await openFaultyStore({ clock, disk });
  const lines: string[] = [];
  store.onHealthChange((health) => lines.push(`${clock.now()} ${JSON.stringify(health)}`));
  disk.setFaults({ delayMs: [1, 200], failureRatio: 0.1, lostReplyRatio: 0.1, freezeRatio: 0.02 });
  for (let step = 0; step < 300; step++) {
    store.put('usage', 'a', { calls: step + 1 });
    await clock.advanceAsync(1_000);
  }
  disk.heal();
  await clock.advanceAsync(60_000);
  assert.deepEqual(store.health, { state: 'ok' });
  assert.deepEqual(await store.get('usage', 'a'), { calls: 300 });
  return lines.join('\n');
}

test('a seed reproduces the same failures and recoveries, and the last write is kept', async () => {
  const first = await history(7);
  assert.match(first, /io_error/);
  assert.match(first, /timeout/);
  assert.equal(await history(7), first);
  assert.notEqual(await history(8), first);
});

test('a disk keeps committed data through a cut and recovery', async () => {
  const clock = createManualClock();
  const disk = createFaultyDisk({ clock, random: createSeededRandom(1) });
  const store = await openFaultyStore({ clock, disk });
  store.put('breaker', 'a', 1);
  await store.flush();
  disk.setFaults({ refuse: 'unavailable' });
  disk.cut();
  assert.equal(await store.get('breaker', 'a'), undefined);
  disk.heal();
  await clock.advanceAsync(1_000);
  assert.equal(await store.get('breaker', 'a'), 1);
  assert.equal(disk.commits, 1);
  await store.close();
});
