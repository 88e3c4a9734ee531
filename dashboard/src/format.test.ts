import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, dollars, duration, percent, rate, wait } from './format.ts';

test('durations use a fitting unit', () => {
  assert.deepEqual([0, 850, 999.6, 9_940, 9_960, 119_400, 180_000, 9_000_000].map(duration), [
    '0 ms',
    '850 ms',
    '1.0 s',
    '9.9 s',
    '10 s',
    '119 s',
    '3 min',
    '2.5 h',
  ]);
});

test('shares are never rounded to 0 or 100 %', () => {
  assert.deepEqual([0, 0.0004, 0.004, 0.62, 0.995, 0.9999, 1].map(percent), [
    '0 %',
    '< 0.1 %',
    '0.4 %',
    '62 %',
    '99.5 %',
    '> 99.9 %',
    '100 %',
  ]);
});

test('counts, rates, dollars and waits are short', () => {
  assert.deepEqual([7, 950, 1_234, 34_000, 1_500_000].map(count), ['7', '950', '1.2k', '34k', '1.5M']);
  assert.deepEqual([0, 0.42, 12.3, 1_900].map(rate), ['0', '0.4', '12', '1.9k']);
  assert.deepEqual([0, 0.00214, 1.337, 120].map(dollars), ['$0', '$0.0021', '$1.34', '$120']);
  assert.deepEqual(([null, 'never', 4_000] as const).map(wait), ['until a request ends', 'permanently', 'for 4.0 s']);
});
