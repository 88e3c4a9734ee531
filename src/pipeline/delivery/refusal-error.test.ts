import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Blocker } from '../../core/events.ts';
import type { Output } from './output.ts';
import { refusalError } from './refusal-error.ts';

const HOUR_MS = 3_600_000;

/** A request whose client has spent its budget for `a/m`; `b/m` and `c/m` are isolated. */
function outputOf(): Output {
  const clock = { now: () => 0 };
  const targets = ['a/m', 'b/m', 'c/m'].map((key) => ({
    key,
    state: {
      name: key,
      breaker: { heldForMs: () => 0, state: 'isolated' },
      cooldown: { remainingMs: () => 0 },
      overload: { remainingMs: () => 0 },
      credential: { number: 1, quarantine: { isInDoubtFor: () => false } },
    },
  }));
  const budget = { usd: 5, per: 'hour', spentUsd: () => 5, nextPeriod: () => HOUR_MS, untilMs: () => HOUR_MS };
  const client = { name: 'web', budget };
  const active = { route: { name: 'fast' }, deadline: HOUR_MS * 2, source: {}, request: { client } };
  return { engine: { clock }, active, retry: { tiers: [targets], failures: [] } } as unknown as Output;
}

function retryAfterMs(...others: Blocker[]): number | null {
  const blockers: Blocker[] = [{ target: 'a/m', kind: 'budget', waitMs: HOUR_MS }, ...others];
  const error = refusalError(outputOf(), { kind: 'refuse', why: 'infeasible', earliest: null, limited: false, blockers });
  assert.equal(error.code, 'budget_exceeded');
  return error.retryAfterMs;
}

const breaker = (target: string, waitMs: number | null): Blocker => ({ target, kind: 'breaker', waitMs });
const limit = (target: string, waitMs: number): Blocker => ({ target, kind: 'requests', waitMs });

test('where the budget is spent, another target can be used once all that blocks it is over', () => {
  const isolated = breaker('c/m', null);
  assert.equal(retryAfterMs(breaker('b/m', 60_000), limit('b/m', 2_000), isolated), 60_000);
  assert.equal(retryAfterMs(breaker('b/m', 2_000), limit('b/m', 60_000), isolated), 60_000);
  assert.equal(retryAfterMs(breaker('b/m', 60_000), breaker('c/m', 30_000)), 30_000, 'the first of several');
});

test('a target that is out of service for an unknown time does not shorten the wait for the budget by its limits', () => {
  assert.equal(retryAfterMs(breaker('b/m', null), limit('b/m', 2_000), breaker('c/m', null)), HOUR_MS);
  assert.equal(retryAfterMs(breaker('b/m', null), limit('b/m', 2_000), breaker('c/m', 90_000)), 90_000);
});
