import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseGoDuration } from './go-duration.ts';

test('parses what Go prints', () => {
  const cases: [string, number][] = [
    ['1s', 1000],
    ['6m0s', 360_000],
    ['12ms', 12],
    ['1m12.5s', 72_500],
    ['2h3m4s', 7_384_000],
    ['2m59.56s', 179_560],
    ['7.66s', 7660],
    ['500us', 0.5],
    ['500µs', 0.5],
    ['0s', 0],
    ['0', 0],
  ];
  for (const [text, ms] of cases) assert.equal(Math.round((parseGoDuration(text) ?? Number.NaN) * 1e6) / 1e6, ms, text);
});

test('returns null for an invalid or a negative duration', () => {
  for (const text of ['', '5', 's', '-1s', '1 s', '1s ago', '1d', 'NaN', '1..5s']) assert.equal(parseGoDuration(text), null, text);
});
