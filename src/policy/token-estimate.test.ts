import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputEstimate, OUTPUT_FIRST, OutputEstimate } from './token-estimate.ts';

const learn = (estimate: InputEstimate, estimated: number, counted: number, times = 20): void => {
  for (let i = 0; i < times; i++) estimate.learn(estimated, counted, 0);
};

test('a quarter of the bytes is the estimate until a few responses have come', () => {
  const estimate = new InputEstimate();
  learn(estimate, 1000, 1500, 4);
  assert.equal(estimate.of(1000, true), 1000);
  estimate.learn(1000, 1500, 0);
  assert.equal(estimate.of(1000, true), 1500);
});

test('a ratio learned for one size applies to sizes of which nothing is known', () => {
  const estimate = new InputEstimate();
  learn(estimate, 1000, 1500);
  assert.equal(estimate.of(100_000, true), 150_000);
});

test('cached input is left out where it does not count, and does not lower the estimate of other sizes', () => {
  const estimate = new InputEstimate();
  for (let i = 0; i < 20; i++) estimate.learn(100_000, 100_000, 90_000);
  assert.equal(estimate.of(100_000, true), 100_000);
  assert.equal(estimate.of(100_000, false), 10_000);
  assert.equal(estimate.of(250, false), 250);
  assert.ok(Math.abs(estimate.cachedShare - 0.9) < 1e-6);
});

test('where only some prompts are cached, more than the mean is reserved', () => {
  const estimate = new InputEstimate();
  for (let i = 0; i < 300; i++) estimate.learn(100_000, 100_000, i % 2 === 0 ? 90_000 : 0);
  assert.ok(estimate.of(100_000, false) > 90_000, `${estimate.of(100_000, false)}`);
});

test('a small excess stays, and where responses vary it is larger', () => {
  const estimate = new InputEstimate();
  learn(estimate, 1000, 950);
  assert.equal(estimate.of(1000, true), 1000);
  const varied = new InputEstimate();
  for (let i = 0; i < 200; i++) varied.learn(1000, i % 2 === 0 ? 1000 : 2000, 0);
  assert.ok(varied.of(1000, true) > 1800, `${varied.of(1000, true)}`);
});

test('invalid counts are not learned', () => {
  const estimate = new InputEstimate();
  for (let i = 0; i < 20; i++) {
    estimate.learn(0, 100, 0);
    estimate.learn(100, Number.NaN, 0);
  }
  assert.equal(estimate.of(100, true), 100);
});

test('factors survive a restart', () => {
  const estimate = new InputEstimate();
  learn(estimate, 1000, 1400);
  const again = new InputEstimate();
  again.restore(estimate.save()!);
  assert.equal(again.of(1000, true), 1400);
});

test('a response is assumed to take 1,024 tokens until twenty have come, and then the 90th percentile', () => {
  const output = new OutputEstimate();
  for (let i = 1; i < 20; i++) output.learn('web', 100);
  assert.equal(output.of('web'), OUTPUT_FIRST);
  for (let i = 0; i < 2000; i++) output.learn('web', 1 + ((i * 7919) % 1000));
  assert.ok(output.of('web') > 780 && output.of('web') < 990, `${output.of('web')}`);
});

test('each client has its own estimate; beyond a hundred they share one', () => {
  const output = new OutputEstimate();
  for (let i = 0; i < 30; i++) output.learn('short', 10);
  for (let i = 0; i < 30; i++) output.learn('long', 5000);
  assert.ok(output.of('short') < 20 && output.of('long') > 4000);
  for (let client = 0; client < 200; client++) for (let i = 0; i < 25; i++) output.learn(`c${client}`, 200);
  assert.ok(output.save().length <= 101);
  assert.ok(output.of('c199') < 300);
});

test('one absurd count is soon outweighed', () => {
  const estimate = new InputEstimate();
  for (let i = 0; i < 20; i++) estimate.learn(1000, 1000, 0);
  estimate.learn(1000, 10_000_000, 0);
  for (let i = 0; i < 50; i++) estimate.learn(1000, 1000, 0);
  assert.ok(estimate.of(1000, true) < 3000, `${estimate.of(1000, true)}`);
});
