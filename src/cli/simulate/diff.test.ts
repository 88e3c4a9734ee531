import assert from 'node:assert/strict';
import { test } from 'node:test';
import { breaches, costNotes, diffRows, renderDiff } from './diff.ts';
import type { PriorityFigures, ScenarioFigures } from './scenario.ts';

interface Given {
  readonly p95?: number;
  /** Of the served requests only. Default: `p95`. */
  readonly servedP95?: number;
  readonly refused?: number;
  readonly cost?: number | null;
  readonly calls?: Readonly<Record<string, number>>;
  /** Of the calls of each target. */
  readonly unpriced?: number;
}

function figures({ p95 = 0, servedP95 = p95, refused = 0, cost = null, calls = {}, unpriced = 0 }: Given): ScenarioFigures {
  const none: PriorityFigures = {
    requests: 0, success: 0, refused: 0, failed: 0, interrupted: 0, cancelled: 0,
    waitMs: null, servedWaitMs: null, firstContentMs: null, durationMs: null, bottlenecks: [], errors: {},
  }; // prettier-ignore
  const waits = (of: number) => ({ p50: of / 2, p95: of, p99: of });
  const servedWaitMs = refused === 100 ? null : waits(servedP95);
  const normal = { ...none, requests: 100, success: 100 - refused, refused, waitMs: waits(p95), servedWaitMs };
  const targets = Object.entries(calls).map(([target, all]) => ({
    target, calls: all, success: all, rateLimited: 0, inputTokens: 0, outputTokens: 0, costUsd: null, unpricedCalls: unpriced,
  })); // prettier-ignore
  const byPriority = { high: none, normal, low: none, job: none } as ScenarioFigures['byPriority'];
  return { without: null, requests: 100, success: 100 - refused, durationMs: 0, byPriority, targets, errors: {}, costUsd: cost };
}

const LIMITS = { maxP95WaitIncrease: 0.1, maxCostIncrease: 0.05, maxRefused: 0.005 };

test('a threshold is exceeded above its value, and not at it', () => {
  const cases: readonly (readonly [Given, Given, readonly RegExp[]])[] = [
    [{ p95: 1_000 }, { p95: 1_100 }, []],
    [{ p95: 1_000 }, { p95: 1_101 }, [/p95 wait of normal rises from 1\.0 s to 1\.1 s, by more than 10 %/]],
    [{ p95: 0 }, { p95: 99 }, []],
    [{ p95: 0 }, { p95: 100 }, [/p95 wait/]],
    [{ cost: 1 }, { cost: 1.05 }, []],
    [{ cost: 1 }, { cost: 1.06 }, [/cost rises from \$1\.00 to \$1\.06/]],
    [{ cost: null }, { cost: 1 }, [/cost rises/]],
    [{}, { refused: 1 }, [/1 % of the requests are not served, more than 0\.5 %/]],
    [{ p95: 1_000, cost: 2 }, { p95: 10, cost: 1 }, []],
  ];
  for (const [before, after, expected] of cases) {
    const found = breaches(figures(before), figures(after), LIMITS);
    assert.equal(found.length, expected.length, `${JSON.stringify([before, after])}: ${found.join('; ')}`);
    expected.forEach((pattern, i) => assert.match(found[i]!, pattern));
  }
  const none = { maxP95WaitIncrease: null, maxCostIncrease: null, maxRefused: null };
  assert.deepEqual(breaches(figures({}), figures({ p95: 9_999, refused: 50, cost: 9 }), none), []);
});

test('a new config that serves nothing, or at unknown prices, does not meet the thresholds', () => {
  const cases: readonly (readonly [Given, Given, readonly RegExp[]])[] = [
    // Failures without a wait lower the p95 of all requests.
    [{ p95: 1_000 }, { p95: 0, servedP95: 1_200 }, [/p95 wait of normal rises from 1\.0 s to 1\.2 s/]],
    [{ p95: 1_000, servedP95: 0 }, { p95: 2_000, servedP95: 0 }, [/p95 wait of normal rises from 1\.0 s to 2\.0 s/]],
    [{ cost: 5, calls: { 'a/m': 50 } }, { calls: { 'b/m': 50 }, unpriced: 50 }, [/the cost is unknown: 50 calls have no price \(b\/m\)/]],
    [
      { cost: 5, calls: { 'a/m': 50 } },
      { cost: 4, calls: { 'a/m': 40, 'b/m': 10 }, unpriced: 10 },
      [/20 calls have no price \(a\/m, b\/m\)/],
    ],
    [{ calls: { 'a/m': 50 }, unpriced: 50 }, { calls: { 'a/m': 50 }, unpriced: 50 }, []],
  ];
  for (const [before, after, expected] of cases) {
    const found = breaches(figures(before), figures(after), LIMITS);
    assert.equal(found.length, expected.length, `${JSON.stringify([before, after])}: ${found.join('; ')}`);
    expected.forEach((pattern, i) => assert.match(found[i]!, pattern));
  }
  const waits = { maxP95WaitIncrease: 0.1, maxCostIncrease: null, maxRefused: null };
  assert.deepEqual(breaches(figures({ p95: 500 }), figures({ refused: 100 }), waits), ['no request of normal is served any more']);
});

test('a cost that leaves out calls without a price is noted, and thresholds are only mentioned if there are any', () => {
  const half = figures({ calls: { 'a/m': 50 }, unpriced: 25 });
  assert.deepEqual(costNotes(figures({}), half), ['after: the cost leaves out 25 calls, whose targets have no price (a/m)']);
  assert.deepEqual(costNotes(half, half).length, 2);
  const table = renderDiff(diffRows(half, half), null, []);
  assert.doesNotMatch(table, /thresholds/);
  assert.match(renderDiff(diffRows(half, half), [], []), /All thresholds are met/);
});

test('the table shows each figure before and after, with its change, also of targets of one run only', () => {
  const rows = diffRows(
    figures({ p95: 1_000, cost: 1, calls: { 'a/m': 100 } }),
    figures({ p95: 2_000, cost: 0.5, calls: { 'b|x/m': 80 } }),
  );
  const table = renderDiff(rows, [], ['seed 1']);
  for (const line of [
    '| normal: wait, p95 | 1.0 s | 2.0 s | +1.0 s (+100.0 %) |',
    '| cost | $1.00 | $0.5000 | -$0.5000 (-50.0 %) |',
    '| calls: a/m | 100 | 0 | -100 (-100.0 %) |',
    '| calls: b\\|x/m | 0 | 80 | +80 |',
    '| not served | 0 % | 0 % | 0 |',
    '- seed 1',
  ])
    assert.ok(table.includes(line), `${line} in\n${table}`);
});
