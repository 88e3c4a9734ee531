import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from './manual-clock.ts';

test('time does not move until it is advanced', () => {
  const clock = createManualClock({ now: 5, epochMs: 1_000 });
  assert.equal(clock.now(), 5);
  assert.equal(clock.epochMs(), 1_000);
  clock.advance(2.5);
  assert.equal(clock.now(), 7.5);
  assert.equal(clock.epochMs(), 1_002);
});

test('timers run in order of their instants, then of scheduling, each at its own instant', () => {
  const clock = createManualClock();
  const seen: string[] = [];
  for (const [name, delayMs] of [
    ['c', 30],
    ['a', 10],
    ['b', 20],
    ['b2', 20],
    ['later', 41],
  ] as const) {
    clock.schedule(delayMs, () => seen.push(`${name}@${clock.now()}`));
  }
  clock.advance(40);
  assert.deepEqual(seen, ['a@10', 'b@20', 'b2@20', 'c@30']);
  assert.equal(clock.now(), 40);
  assert.equal(clock.pendingTimers, 1);
  assert.equal(clock.nextTimerAt, 41);
});

test('a zero delay runs at the next advance, never synchronously', () => {
  const clock = createManualClock();
  let runs = 0;
  clock.schedule(0, () => runs++);
  clock.schedule(-5, () => runs++);
  assert.equal(runs, 0);
  clock.advance(0);
  assert.equal(runs, 2);
});

test('timers scheduled by a task within the advanced span run too', () => {
  const clock = createManualClock();
  const seen: number[] = [];
  const tick = (): void => {
    seen.push(clock.now());
    clock.schedule(10, tick);
  };
  clock.schedule(10, tick);
  clock.advance(35);
  assert.deepEqual(seen, [10, 20, 30]);
});

test('a cancelled timer never runs, and cancelling again has no effect', () => {
  const clock = createManualClock();
  let runs = 0;
  const first = clock.schedule(10, () => runs++);
  const second = clock.schedule(10, () => runs++);
  first.cancel();
  first.cancel();
  assert.equal(clock.pendingTimers, 1);
  clock.advance(10);
  second.cancel();
  assert.equal(runs, 1);
  assert.equal(clock.pendingTimers, 0);
});

test('a task can cancel another that is due at the same instant', () => {
  const clock = createManualClock();
  let ran = false;
  clock.schedule(10, () => victim.cancel());
  const victim = clock.schedule(10, () => (ran = true));
  clock.advance(10);
  assert.equal(ran, false);
});

test('a task that throws leaves the clock at its instant and other timers pending', () => {
  const clock = createManualClock();
  let ran = false;
  clock.schedule(10, () => {
    throw new Error('boom');
  });
  clock.schedule(20, () => (ran = true));
  assert.throws(() => clock.advance(30), /boom/);
  assert.equal(clock.now(), 10);
  clock.advance(10);
  assert.equal(ran, true);
});

test('advanceAsync lets promises continue between timers', async () => {
  const clock = createManualClock();
  const seen: number[] = [];
  const sleep = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      clock.schedule(delayMs, resolve);
    });
  const story = (async () => {
    for (let step = 0; step < 3; step++) {
      await sleep(10);
      seen.push(clock.now());
    }
  })();
  await clock.advanceAsync(100);
  await story;
  assert.deepEqual(seen, [10, 20, 30]);
  assert.equal(clock.now(), 100);
});

test('runUntil stops when the condition holds, at a given instant, or when no timer is left', async () => {
  const clock = createManualClock();
  let steps = 0;
  const step = async (): Promise<void> => {
    // Continuations of one timer run before the next timer.
    await Promise.resolve();
    if (++steps < 1_000) clock.schedule(1, () => void step());
  };
  clock.schedule(0, () => void step());
  clock.schedule(499.5, () => assert.equal(steps, 500));
  assert.equal(await clock.runUntil(() => steps === 300, 10_000), true);
  assert.equal(clock.now(), 299);
  assert.equal(await clock.runUntil(() => false, 700), false);
  assert.deepEqual([clock.now(), steps], [700, 701]);
  assert.equal(await clock.runUntil(() => false, 10_000), false);
  assert.deepEqual([clock.pendingTimers, steps], [0, 1_000]);
  clock.schedule(0, () => {
    throw new Error('broken');
  });
  await assert.rejects(
    clock.runUntil(() => false, 10_000),
    /broken/,
  );
});

test('the wall clock can jump independently of the monotonic one', () => {
  const clock = createManualClock({ epochMs: 10_000 });
  clock.shiftEpoch(-4_000);
  assert.equal(clock.epochMs(), 6_000);
  assert.equal(clock.now(), 0);
});

test('time does not move backwards, and a delay must be a number', () => {
  const clock = createManualClock();
  assert.throws(() => clock.advance(-1), RangeError);
  assert.throws(() => clock.advance(Number.NaN), RangeError);
  assert.throws(() => clock.schedule(Number.NaN, () => {}), RangeError);
});

test('a hundred thousand timers in any order, a third of them cancelled, run in sorted order', () => {
  const clock = createManualClock();
  let last = -1;
  let runs = 0;
  const timers = Array.from({ length: 99_999 }, (_, index) =>
    clock.schedule((index * 7_919) % 1_000, () => {
      assert.ok(clock.now() >= last);
      last = clock.now();
      runs++;
    }),
  );
  timers.forEach((timer, index) => index % 3 === 0 && timer.cancel());
  assert.equal(clock.pendingTimers, 66_666);
  clock.advance(1_000);
  assert.equal(runs, 66_666);
  assert.equal(clock.pendingTimers, 0);
});
