import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LatencyHistogram } from './latency-histogram.ts';

test('an empty histogram reports zero', () => {
  const histogram = new LatencyHistogram();
  assert.equal(histogram.count, 0);
  assert.equal(histogram.quantile(0.99), 0);
});

test('property: a quantile is exact to ten percent, from a millisecond to an hour', () => {
  const durations = fc.array(fc.double({ min: 1, max: 3_600_000, noNaN: true }), { minLength: 1, maxLength: 500 });
  fc.assert(
    fc.property(durations, fc.constantFrom(0.01, 0.5, 0.9, 0.95, 0.99, 1), (observed, q) => {
      const histogram = new LatencyHistogram();
      for (const duration of observed) histogram.record(duration);
      const exact = observed.sort((a, b) => a - b)[Math.max(0, Math.ceil(q * observed.length - 1e-9) - 1)]!;
      const found = histogram.quantile(q);
      assert.ok(found >= exact * (1 - 1e-9) && found <= exact * 1.1 * (1 + 1e-9), `${found} for ${exact}`);
    }),
  );
});

test('durations out of range count in the first and the last step', () => {
  const histogram = new LatencyHistogram();
  histogram.record(0);
  assert.equal(histogram.quantile(1), 1);
  histogram.record(1e12);
  assert.ok(histogram.quantile(1) >= 3_600_000 && Number.isFinite(histogram.quantile(1)));
});

test('quantiles follow a target that has become faster', () => {
  const histogram = new LatencyHistogram();
  for (let i = 0; i < 5000; i++) histogram.record(1000);
  for (let i = 0; i < 20_000; i++) histogram.record(100);
  assert.ok(histogram.quantile(0.99) <= 110);
  assert.equal(histogram.count, 25_000);
});
