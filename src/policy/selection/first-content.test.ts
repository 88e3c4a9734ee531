import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FirstContentEstimate } from './first-content.ts';

const STREAM = 0;
const PLAIN = 1;

/** Consecutive calls with these times to first content; returns the instant of the last response. */
function answer(estimate: FirstContentEstimate, silencesMs: readonly number[], from = 0, kind = STREAM): number {
  let now = from;
  for (const silenceMs of silencesMs) {
    estimate.began(kind, now);
    now += silenceMs;
    estimate.responded(kind, now, now - silenceMs);
  }
  return now;
}

const times = (count: number, silenceMs: number): number[] => Array.from({ length: count }, () => silenceMs);
const isAbout = (found: number | null, expected: number): void =>
  assert.ok(found !== null && Math.abs(found - expected) <= expected * 0.1, `${found}, not about ${expected}`);

test('nothing is expected before a few responses, each kind by itself', () => {
  const estimate = new FirstContentEstimate();
  answer(estimate, times(4, 500));
  assert.equal(estimate.expectedMs(STREAM, 2000), null);
  const now = answer(estimate, times(20, 500), 2000);
  isAbout(estimate.expectedMs(STREAM, now), 500);
  assert.equal(estimate.expectedMs(PLAIN, now), null);
});

test('it rises fast and falls slowly', () => {
  const estimate = new FirstContentEstimate();
  let now = answer(estimate, times(50, 500));
  now = answer(estimate, times(3, 5000), now);
  assert.ok(estimate.expectedMs(STREAM, now)! > 3000);
  now = answer(estimate, times(3, 500), now);
  assert.ok(estimate.expectedMs(STREAM, now)! > 2000);
  now = answer(estimate, times(40, 500), now);
  isAbout(estimate.expectedMs(STREAM, now), 500);
});

test('waiting calls count by their age before any response, a single one does not', () => {
  const estimate = new FirstContentEstimate();
  const now = answer(estimate, times(20, 500));
  estimate.began(STREAM, now);
  isAbout(estimate.expectedMs(STREAM, now), 500);
  assert.ok(estimate.expectedMs(STREAM, now + 8000)! <= 500);
  estimate.began(STREAM, now);
  assert.equal(estimate.expectedMs(STREAM, now + 8000), 8000);
  estimate.gaveUp(STREAM, now + 8000, now);
  estimate.gaveUp(STREAM, now + 8000, now);
  const learned = estimate.expectedMs(STREAM, now + 8000)!;
  assert.ok(learned > 3000 && learned < 8000, `silence that was given up counts as slow: ${learned}`);
});

test('a call that fails at once does not count as fast', () => {
  const estimate = new FirstContentEstimate();
  const now = answer(estimate, times(20, 500));
  for (let i = 0; i < 50; i++) {
    estimate.began(STREAM, now);
    estimate.gaveUp(STREAM, now + 1, now);
  }
  isAbout(estimate.expectedMs(STREAM, now + 1), 500);
});

test('measurements decay', () => {
  const estimate = new FirstContentEstimate();
  const now = answer(estimate, times(20, 8000));
  assert.ok(estimate.expectedMs(STREAM, now + 180_000)! < 500);
});
