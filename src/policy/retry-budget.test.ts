import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RetryBudget } from './retry-budget.ts';

/** Every request fails and is retried as often as allowed; returns the number of retries. */
function steadyFailure(budget: RetryBudget, perSecond: number, seconds: number): number {
  let repeats = 0;
  for (let i = 0; i < perSecond * seconds; i++) {
    const now = (i * 1000) / perSecond;
    budget.earn(now);
    for (let tries = 0; tries < 3 && budget.allows(now); tries++) {
      budget.take(now);
      repeats++;
    }
  }
  return repeats;
}

test('it starts with ten seconds of the grant, and never holds more', () => {
  const budget = new RetryBudget({ ratio: 0, minPerSecond: 1 }, 0);
  for (let i = 0; i < 10; i++) {
    assert.equal(budget.allows(0), true);
    budget.take(0);
  }
  assert.equal(budget.allows(0), false);
  assert.equal(budget.allows(999), false);
  assert.equal(budget.allows(1000), true);
  assert.equal(budget.balance(1e6), 10);
});

test('requests earn retries, which decay', () => {
  const budget = new RetryBudget({ ratio: 0.2, minPerSecond: 0 }, 0);
  assert.equal(budget.allows(0), false);
  for (let i = 0; i < 5; i++) budget.earn(0);
  assert.equal(budget.allows(0), true);
  assert.equal(budget.allows(10_000), false);
});

test('a small grant accumulates to a whole retry', () => {
  const budget = new RetryBudget({ ratio: 0, minPerSecond: 0.01 }, 0);
  budget.take(0);
  assert.equal(budget.allows(99_000), false);
  assert.equal(budget.allows(100_000), true);
});

test('a retry that is not made is returned in full', () => {
  const budget = new RetryBudget({ ratio: 0.5, minPerSecond: 0.1 }, 0);
  for (let i = 0; i < 3; i++) budget.earn(0);
  const before = budget.balance(0);
  const taken = budget.take(0);
  assert.ok(budget.balance(0) < before);
  budget.giveBack(0, taken);
  assert.equal(budget.balance(0), before);
  budget.take(0);
  const last = budget.take(0);
  assert.equal(budget.balance(0), 0);
  budget.giveBack(0, last);
  assert.equal(budget.balance(0), 0.5, 'no more than was taken');
});

test('with no ratio and no grant nothing is retried', () => {
  assert.equal(steadyFailure(new RetryBudget({ ratio: 0, minPerSecond: 0 }, 0), 100, 60), 0);
});

test('property: under steady failure retries stay within the larger of ratio and grant, plus what had accumulated', () => {
  const options = fc.record({ ratio: fc.double({ min: 0, max: 1, noNaN: true }), minPerSecond: fc.constantFrom(0, 0.5, 1, 5) });
  fc.assert(
    fc.property(options, fc.integer({ min: 1, max: 100 }), ({ ratio, minPerSecond }, perSecond) => {
      const seconds = 120;
      const repeats = steadyFailure(new RetryBudget({ ratio, minPerSecond }, 0), perSecond, seconds);
      const saved = Math.max(1, minPerSecond * 10);
      assert.ok(repeats <= Math.max(ratio * perSecond * seconds, minPerSecond * seconds) + saved + 1, `${repeats}`);
      assert.ok(repeats >= 0.8 * minPerSecond * seconds * Math.min(1, perSecond / minPerSecond) - 1, `the grant is usable: ${repeats}`);
    }),
  );
});

test('at twenty requests a second or more, a failing target gets hardly more than 1 + ratio calls per request', () => {
  for (const perSecond of [20, 100]) {
    const repeats = steadyFailure(new RetryBudget({ ratio: 0.2, minPerSecond: 1 }, 0), perSecond, 300);
    assert.ok(repeats / (perSecond * 300) <= 0.202, `${repeats / (perSecond * 300)}`);
  }
});

test('a client whose requests always fail leaves half of the grant to the others', () => {
  const budget = new RetryBudget({ ratio: 0.2, minPerSecond: 1 }, 0);
  budget.earn(0, 'good');
  let taken = 0;
  for (let now = 0; now < 20_000; now += 200) {
    budget.earn(now, 'poison');
    if (now % 1000 === 0) budget.earn(now, 'good');
    while (budget.allows(now, 'poison')) {
      budget.take(now, 'poison');
      taken++;
    }
    assert.ok(budget.balance(now) >= 5, `${budget.balance(now)} at ${now}`);
    assert.equal(budget.allows(now, 'good'), true);
  }
  assert.ok(taken >= 20, `${taken}: it may use the rest`);
});

test('a client alone may use the whole budget, also after others have stopped', () => {
  const budget = new RetryBudget({ ratio: 0, minPerSecond: 1 }, 0);
  budget.earn(0, 'gone');
  budget.earn(20_000, 'app');
  for (let i = 0; i < 10; i++) {
    assert.equal(budget.allows(20_000, 'app'), true);
    budget.take(20_000, 'app');
  }
  assert.equal(budget.allows(20_000, 'app'), false);
});

test('the number of clients that are counted is bounded', () => {
  const budget = new RetryBudget({ ratio: 0, minPerSecond: 1000 }, 0);
  for (let i = 0; i < 5000; i++) {
    budget.earn(i, `c${i}`);
    if (budget.allows(i, `c${i}`)) budget.giveBack(i, budget.take(i, `c${i}`));
  }
  assert.equal(budget.allows(5000, 'c1'), true);
});
