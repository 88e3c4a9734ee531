/** A simulation that finds nothing proves nothing: each of these faults in the source must violate its invariant. */
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, it, test } from 'node:test';
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

/** Each mutation loads the gateway anew, so a thread of its own runs one seed after the other, and no seed is run in vain. */
void describe('the simulation finds a fault in the source', { concurrency: Math.min(2, availableParallelism()) }, () => {
  for (const [name, { foundBy, scene, seed = 1 }] of Object.entries(MUTATIONS)) {
    it(name, { timeout: 300_000 }, async (t) => {
      const isFound = (faults: readonly string[]): boolean => faults.some((fault) => foundBy.test(fault));
      const reports = await runSeeds({
        seeds: scene === undefined ? [seed, ...drawn.filter((other) => other !== seed)] : [scene],
        mutation: name,
        isEnough: (report) => isFound(report.faults),
        threads: 1,
      });
      const found = reports.find(({ faults }) => isFound(faults));
      assert.ok(found !== undefined, `not found in ${reports.length} seeds`);
      t.diagnostic(`seed ${found.seed}: ${found.faults.find((fault) => foundBy.test(fault))}`);
    });
  }
});
