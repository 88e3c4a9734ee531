import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom, hashText, sample } from './random.ts';

test('a log-normal spread has the configured median and 99th percentile', () => {
  const random = createSeededRandom(7);
  const drawn = Array.from({ length: 20_000 }, () => sample({ p50: 100, p99: 1000 }, random)).toSorted((a, b) => a - b);
  assert.ok(Math.abs(drawn[10_000]! - 100) < 5, String(drawn[10_000]));
  assert.ok(Math.abs(drawn[19_800]! - 1000) < 120, String(drawn[19_800]));
});

test('a uniform spread stays within its bounds, a number is constant', () => {
  const random = createSeededRandom(7);
  const drawn = Array.from({ length: 1000 }, () => sample({ min: 2, max: 3 }, random));
  assert.ok(drawn.every((value) => value >= 2 && value < 3));
  assert.equal(sample(5, random), 5);
});

test('long texts that differ at their start, end or length have different hashes', () => {
  const long = 'x'.repeat(10_000);
  assert.equal(new Set([long, `${long}x`, `${long}y`, `y${long}`].map((text) => hashText(text))).size, 4);
});
