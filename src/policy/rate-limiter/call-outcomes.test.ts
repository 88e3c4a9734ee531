import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallOutcomes } from './call-outcomes.ts';

function watch(): { outcomes: CallOutcomes; seen: string[] } {
  const seen: string[] = [];
  const outcomes = new CallOutcomes({
    onOutcome: (_now, startedAt, isRefused) => void seen.push(`${startedAt}${isRefused ? ' refused' : ''}`),
  });
  return { outcomes, seen };
}

test('a call counts as accepted once refusals would have arrived', () => {
  const { outcomes, seen } = watch();
  outcomes.started(0);
  outcomes.started(50);
  outcomes.settle(99);
  assert.deepEqual(seen, []);
  outcomes.settle(100);
  assert.deepEqual(seen, ['0']);
  outcomes.settle(150);
  assert.deepEqual(seen, ['0', '50']);
});

test('outcomes are in the order of the starts, not of the arrival of refusals', () => {
  const { outcomes, seen } = watch();
  for (const at of [0, 10, 20, 30]) outcomes.started(at);
  outcomes.refused(40, 20);
  outcomes.refused(50, 10);
  outcomes.settle(500);
  assert.deepEqual(seen, ['0', '10 refused', '20 refused', '30']);
});

test('the refused calls of a burst are spread over it', () => {
  const { outcomes, seen } = watch();
  for (let i = 0; i < 100; i++) outcomes.started(0);
  for (let i = 0; i < 10; i++) outcomes.refused(20, 0);
  outcomes.settle(500);
  assert.equal(seen.length, 100);
  assert.equal(seen.filter((fate) => fate.endsWith('refused')).length, 10);
  for (let from = 0; from < 100; from += 25) {
    const part = seen.slice(from, from + 25).filter((fate) => fate.endsWith('refused')).length;
    assert.ok(part >= 1 && part <= 4, `${part} from ${from}`);
  }
});

test('slow refusals delay the outcomes of calls', () => {
  const { outcomes, seen } = watch();
  outcomes.started(0);
  outcomes.refused(800, 0);
  outcomes.started(1000);
  outcomes.settle(1700);
  assert.deepEqual(seen, ['0 refused']);
  outcomes.settle(1800);
  assert.deepEqual(seen, ['0 refused', '1000']);
});

test('a cancelled start has no outcome', () => {
  const { outcomes, seen } = watch();
  outcomes.started(0);
  outcomes.started(10);
  outcomes.cancelled();
  outcomes.settle(500);
  assert.deepEqual(seen, ['0']);
});

test('beyond the maximum of pending calls the oldest count as accepted', () => {
  const { outcomes, seen } = watch();
  for (let i = 0; i < 5000; i++) outcomes.started(0);
  assert.equal(seen.length, 5000 - 2048);
  outcomes.settle(100);
  assert.equal(seen.length, 5000);
});
