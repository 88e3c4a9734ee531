import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { testResourceContract } from '../../core/resource.contract.ts';
import { Permit } from '../../core/permit.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need } from '../../core/resource.ts';
import { MoneyBudget, periodAt } from './money-budget.ts';
import type { BudgetPeriod } from './money-budget.ts';

const NOON = Date.UTC(2026, 10, 30, 12);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const budget = (usd = 1, per: BudgetPeriod = 'day') =>
  new MoneyBudget({ id: 'client web:budget', usd, per, toEpochMs: (now) => NOON + now });
const need = (usd: number): Need => ({ requests: 1, inputTokens: 10, outputTokens: 10, usd });

testResourceContract('a budget', () => budget());

describe('a budget', () => {
  it('has room for what it holds, to the cent', () => {
    const money = budget(0.3);
    const permits = [1, 2, 3].map(() => {
      assert.equal(money.earliest(0, need(0.1)), 0);
      return Permit.reserve(0, need(0.1), [money]);
    });
    assert.equal(money.earliest(0, need(0.1)), WHEN_SETTLED, 'running requests may turn out cheaper');
    for (const permit of permits) permit.settle(0, { usage: null, usd: 0.1, health: 'neutral' });
    assert.equal(money.earliest(0, need(0.1)), 12 * HOUR, 'the next day');
    assert.ok(Math.abs(money.remainingUsd(0)) < 1e-12);
  });

  it('charges what a request cost, and nothing for one that was not sent', () => {
    const money = budget(1);
    Permit.reserve(0, need(0.9), [money]).settle(0, { usage: null, usd: 0.2, health: 'neutral' });
    Permit.reserve(0, need(0.7), [money]).cancel(0);
    assert.equal(money.spentUsd(0), 0.2);
    assert.equal(money.remainingUsd(0), 0.8);
  });

  it('begins anew with each period; a request counts in the period in which it ends', () => {
    const money = budget(1);
    const running = Permit.reserve(0, need(0.5), [money]);
    Permit.reserve(0, need(0.5), [money]).settle(0, { usage: null, usd: 0.5, health: 'neutral' });
    assert.equal(money.remainingUsd(12 * HOUR), 0.5, 'the running one is still reserved');
    running.settle(12 * HOUR, { usage: null, usd: 0.25, health: 'neutral' });
    assert.equal(money.spentUsd(12 * HOUR), 0.25);
    assert.equal(money.spentUsd(12 * HOUR + DAY), 0);
  });

  it('never has room for a request that costs more than all of it', () => {
    assert.equal(budget(1).earliest(0, need(1.01)), Infinity);
  });

  it('counts what other processes have spent in the same period only', () => {
    const money = budget(1);
    const { sinceMs } = money.save(0);
    money.setElsewhere(0, { sinceMs: sinceMs - DAY, usd: 0.9 });
    assert.equal(money.spentUsd(0), 0);
    money.setElsewhere(0, { sinceMs, usd: 0.9 });
    money.setElsewhere(0, { sinceMs, usd: 0.95 });
    assert.equal(money.spentUsd(0), 0.95);
    money.setElsewhere(0, { sinceMs, usd: 0 });
    assert.equal(money.spentUsd(0), 0.95, 'a store that is away takes nothing back');
    assert.equal(money.earliest(0, need(0.1)), 12 * HOUR);
    assert.equal(money.save(0).usd, 0, 'its own part only');
  });
});

describe('a period', () => {
  for (const [per, from, to] of [
    ['hour', NOON, NOON + HOUR],
    ['day', Date.UTC(2026, 10, 30), Date.UTC(2026, 11, 1)],
    ['week', Date.UTC(2026, 10, 30), Date.UTC(2026, 11, 7)], // a Monday
    ['month', Date.UTC(2026, 10, 1), Date.UTC(2026, 11, 1)],
  ] as const) {
    it(`of a ${per} begins and ends in UTC`, () => assert.deepEqual(periodAt(NOON + 1, per), [from, to]));
  }

  it('of the last week of a year ends in the next year', () => {
    assert.deepEqual(periodAt(Date.UTC(2026, 11, 31), 'week'), [Date.UTC(2026, 11, 28), Date.UTC(2027, 0, 4)]);
    assert.deepEqual(periodAt(Date.UTC(2026, 11, 31), 'month'), [Date.UTC(2026, 11, 1), Date.UTC(2027, 0, 1)]);
  });
});
