import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { inSlices, SlicedWork } from './sliced-work.ts';

test('jobs take turns, so that a short one is done before a long one', async () => {
  const clock = createManualClock();
  const work = new SlicedWork(clock);
  const said: string[] = [];
  const job = (name: string, steps: number) => {
    let left = steps;
    return work.run(() => {
      said.push(name);
      return --left === 0;
    });
  };
  const jobs = [job('long', 100), job('short', 2)];
  assert.deepEqual(said, [], 'nothing runs at once');
  clock.advance(0);
  await Promise.all(jobs);
  assert.deepEqual(said.slice(0, 5), ['long', 'short', 'long', 'short', 'long']);
  assert.equal(said.length, 102);
});

test('a turn ends when its time is over', () => {
  let now = 0;
  const turns: (() => void)[] = [];
  const clock = { now: () => now, epochMs: () => 0, schedule: (_: number, task: () => void) => (turns.push(task), { cancel() {} }) };
  const work = new SlicedWork(clock);
  let steps = 0;
  void work.run(() => {
    now += 3;
    return ++steps === 100;
  });
  turns.shift()!();
  assert.equal(steps, 2, 'steps of 3 ms in one turn');
  assert.equal(turns.length, 1, 'the next turn is scheduled');
});

test('a step that throws fails its own job only', async () => {
  const clock = createManualClock();
  const work = new SlicedWork(clock);
  const failing = assert.rejects(
    work.run(() => {
      throw new Error('broken');
    }),
    /broken/,
  );
  const other = work.run(() => true);
  clock.advance(0);
  await failing;
  await other;
});

test('many items are worked off a thousand per turn', async () => {
  const clock = createManualClock();
  const seen: number[] = [];
  const done = inSlices(clock, Array(2_500).keys(), (item) => seen.push(item));
  const lengths = [seen.length];
  for (let turn = 0; turn < 2; turn++) {
    await clock.advanceAsync(0);
    lengths.push(seen.length);
  }
  await done;
  assert.deepEqual(lengths, [1_000, 2_500, 2_500]);
  assert.ok(seen.every((item, i) => item === i));
});
