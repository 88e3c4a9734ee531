/** A simulation that finds nothing proves nothing: each of these faults in the source must violate its invariant. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MUTATIONS } from './mutations.ts';
import { runSeeds } from './pool.ts';
import { SET_SCENES } from './set-scenes.ts';

/** Within this many seeds; most faults are found in the first few. */
const SEEDS_MAX = 60;
const drawn = Array.from({ length: SEEDS_MAX }, (_, i) => i + 1);

test('the fixed scenes have no violations without a mutation', { timeout: 300_000 }, async () => {
  const reports = await runSeeds({ seeds: SET_SCENES });
  assert.deepEqual(
    reports.flatMap(({ faults }) => faults),
    [],
  );
});

for (const [name, { foundBy, scene }] of Object.entries(MUTATIONS)) {
  test(`the simulation finds: ${name}`, { timeout: 300_000 }, async (t) => {
    const isFound = (faults: readonly string[]): boolean => faults.some((fault) => foundBy.test(fault));
    const reports = await runSeeds({
      seeds: scene === undefined ? drawn : [scene],
      mutation: name,
      isEnough: (report) => isFound(report.faults),
    });
    const found = reports.find(({ faults }) => isFound(faults));
    assert.ok(found !== undefined, `not found in ${reports.length} seeds`);
    t.diagnostic(`seed ${found.seed}: ${found.faults.find((fault) => foundBy.test(fault))}`);
  });
}
