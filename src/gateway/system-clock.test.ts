import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from './system-clock.ts';

const runAfter = (delayMs: number): Promise<number> => {
  const startedAt = systemClock.now();
  return new Promise((resolve) => {
    systemClock.schedule(delayMs, () => resolve(systemClock.now() - startedAt));
  });
};

test('a timer never runs before its delay is over', async () => {
  const waits = await Promise.all([0.2, 1, 1.5, 2.01, 3.99, 5].map(async (delayMs) => [delayMs, await runAfter(delayMs)]));
  for (const [delayMs = 0, waited = 0] of waits) assert.ok(waited >= delayMs, `${waited} < ${delayMs}`);
});

test('a zero delay runs soon, but never synchronously', async () => {
  let ran = false;
  const done = new Promise<void>((resolve) => {
    systemClock.schedule(0, () => {
      ran = true;
      resolve();
    });
  });
  assert.equal(ran, false);
  await done;
  await runAfter(-1);
});

test('a delay beyond the maximum of Node.js does not run at once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let ran = false;
  const timer = systemClock.schedule(2 ** 40, () => (ran = true));
  t.mock.timers.tick(2 ** 31);
  assert.equal(ran, false);
  timer.cancel();
});

test('a cancelled timer does not run', async () => {
  let ran = false;
  systemClock.schedule(1, () => (ran = true)).cancel();
  systemClock.schedule(0, () => (ran = true)).cancel();
  await runAfter(3);
  assert.equal(ran, false);
});

test('epochMs is the wall clock in whole milliseconds', () => {
  assert.ok(Number.isInteger(systemClock.epochMs()));
  assert.ok(systemClock.epochMs() > Date.UTC(2024, 0, 1));
});

test('a delay must be a number', () => {
  assert.throws(() => systemClock.schedule(Number.NaN, () => {}), RangeError);
});
