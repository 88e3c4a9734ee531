import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HedgeBudget, hedgeDelayMs, probeRaceDelayMs, RescueBudget } from './hedge.ts';

const known = (latencies: Record<number, number>) => (quantile: number) => latencies[quantile] ?? null;

test('a duration is used as it is, a quantile is taken from the observations of the target', () => {
  assert.equal(hedgeDelayMs(750, known({})), 750);
  assert.equal(hedgeDelayMs('p95', known({ 0.95: 1800, 0.5: 600 })), 1800);
  assert.equal(hedgeDelayMs('p50', known({ 0.95: 1800, 0.5: 600 })), 600);
});

test('with too few observations the delay is unknown', () => {
  assert.equal(hedgeDelayMs('p95', known({})), null);
  assert.equal(probeRaceDelayMs(known({})), null);
});

test('a probe is raced after twice the p95 of its target, and not before a second', () => {
  assert.equal(probeRaceDelayMs(known({ 0.95: 3000 })), 6000);
  assert.equal(probeRaceDelayMs(known({ 0.95: 20 })), 1000);
});

test('a share of a twentieth allows one hedge after twenty requests, and none before', () => {
  const budget = new HedgeBudget();
  for (let i = 0; i < 19; i++) budget.earn(0.05);
  assert.equal(budget.allows, false);
  budget.earn(0.05);
  assert.equal(budget.allows, true);
  budget.take();
  assert.equal(budget.allows, false);
});

test('a share of 0 allows no hedges, a share of 1 one for each request', () => {
  const [none, all] = [new HedgeBudget(), new HedgeBudget()];
  for (let i = 0; i < 1000; i++) none.earn(0);
  assert.equal(none.allows, false);
  all.earn(1);
  assert.equal(all.allows, true);
});

test('unused hedges accumulate, up to ten', () => {
  const budget = new HedgeBudget();
  for (let i = 0; i < 10_000; i++) budget.earn(0.5);
  let hedges = 0;
  for (; budget.allows; hedges++) budget.take();
  assert.equal(hedges, 10);
});

test('property: hedges never exceed their share of the requests so far', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.array(fc.boolean(), { maxLength: 500 }), (share, wishes) => {
      const budget = new HedgeBudget();
      let hedges = 0;
      for (const [i, isWanted] of wishes.entries()) {
        budget.earn(share);
        if (!isWanted || !budget.allows) continue;
        budget.take();
        hedges++;
        assert.ok(hedges <= (i + 1) * share + 1e-6, `${hedges} of ${i + 1} at ${share}`);
      }
    }),
  );
});

test('one rescue at a time is always allowed, more only for a twentieth of the calls', () => {
  const budget = new RescueBudget();
  assert.equal(budget.allows, true);
  budget.take();
  assert.equal(budget.allows, false);
  for (let i = 0; i < 19; i++) budget.earn();
  assert.equal(budget.allows, false);
  budget.earn();
  assert.equal(budget.allows, true);
  budget.take();
  assert.equal(budget.allows, false);
  budget.end();
  budget.end();
  assert.equal(budget.allows, true);
});

test('a target that lost against its rescue is not protected by the budget until it responds', () => {
  const budget = new RescueBudget();
  budget.take();
  budget.noteLost();
  assert.equal(budget.allows, true);
  budget.noteResponse();
  assert.equal(budget.allows, false);
});
