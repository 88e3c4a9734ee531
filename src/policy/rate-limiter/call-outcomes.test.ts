import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallOutcomes } from './call-outcomes.ts';

function watch(): { fates: CallOutcomes; seen: string[] } {
  const seen: string[] = [];
  const fates = new CallOutcomes({
    onOutcome: (_now, startedAt, isRefused) => void seen.push(`${startedAt}${isRefused ? ' refused' : ''}`),
  });
  return { fates, seen };
}

test('a call counts as accepted once refusals would have come', () => {
  const { fates, seen } = watch();
  fates.started(0);
  fates.started(50);
  fates.settle(99);
  assert.deepEqual(seen, []);
  fates.settle(100);
  assert.deepEqual(seen, ['0']);
  fates.settle(150);
  assert.deepEqual(seen, ['0', '50']);
});

test('refusals are in the order of the starts, not of their arrival', () => {
  const { fates, seen } = watch();
  for (const at of [0, 10, 20, 30]) fates.started(at);
  fates.refused(40, 20);
  fates.refused(50, 10);
  fates.settle(500);
  assert.deepEqual(seen, ['0', '10 refused', '20 refused', '30']);
});

test('the refused ones of a burst are spread over it', () => {
  const { fates, seen } = watch();
  for (let i = 0; i < 100; i++) fates.started(0);
  for (let i = 0; i < 10; i++) fates.refused(20, 0);
  fates.settle(500);
  assert.equal(seen.length, 100);
  assert.equal(seen.filter((fate) => fate.endsWith('refused')).length, 10);
  for (let from = 0; from < 100; from += 25) {
    const part = seen.slice(from, from + 25).filter((fate) => fate.endsWith('refused')).length;
    assert.ok(part >= 1 && part <= 4, `${part} from ${from}`);
  }
});

test('slow refusals delay the outcome of calls', () => {
  const { fates, seen } = watch();
  fates.started(0);
  fates.refused(800, 0);
  fates.started(1000);
  fates.settle(1700);
  assert.deepEqual(seen, ['0 refused']);
  fates.settle(1800);
  assert.deepEqual(seen, ['0 refused', '1000']);
});

test('a cancelled start has no outcome', () => {
  const { fates, seen } = watch();
  fates.started(0);
  fates.started(10);
  fates.cancelled();
  fates.settle(500);
  assert.deepEqual(seen, ['0']);
});

test('of more calls than are remembered the oldest count as accepted', () => {
  const { fates, seen } = watch();
  for (let i = 0; i < 5000; i++) fates.started(0);
  assert.equal(seen.length, 5000 - 2048);
  fates.settle(100);
  assert.equal(seen.length, 5000);
});
