import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { Health } from './health.ts';
import { chooseByAffinity, chooseByWeight } from './selection.ts';
import type { Weighted } from './selection.ts';

const target = (affinityKey: string, weight = 1, health = 1): Weighted => ({ affinityKey, weight, health });

function shares(targets: readonly Weighted[], choose: (i: number) => Weighted): number[] {
  const counts = targets.map(() => 0);
  const rounds = 20_000;
  for (let i = 0; i < rounds; i++) counts[targets.indexOf(choose(i))]!++;
  return counts.map((count) => count / rounds);
}

function assertShares(found: readonly number[], expected: readonly number[]): void {
  for (const [i, share] of expected.entries())
    assert.ok(Math.abs(found[i]! - share) < 0.02, `${found.join(' ')} for ${expected.join(' ')}`);
}

test('requests are shared by weight', () => {
  const targets = [target('a', 3), target('b', 1)];
  const random = createSeededRandom(5);
  assertShares(
    shares(targets, () => chooseByWeight(targets, random)),
    [0.75, 0.25],
  );
});

test('a target that fails often gets less', () => {
  const targets = [target('a', 1, 0.25), target('b', 1, 1)];
  const random = createSeededRandom(5);
  assertShares(
    shares(targets, () => chooseByWeight(targets, random)),
    [0.2, 0.8],
  );
});

test('property: the choice is always one of the targets, whatever chance says', () => {
  const weights = fc.array(
    fc.record({ weight: fc.double({ min: 1e-9, max: 1e9, noNaN: true }), health: fc.double({ min: 0.05, max: 1, noNaN: true }) }),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(weights, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (list, chance) => {
      const targets = list.map((w, i) => ({ ...w, affinityKey: `${i}` }));
      assert.ok(targets.includes(chooseByWeight(targets, { next: () => chance })));
    }),
  );
});

test('keys spread over the targets by weight', () => {
  const targets = [target('a', 2), target('b', 1), target('c', 1)];
  assertShares(
    shares(targets, (i) => chooseByAffinity(targets, `session-${i}`)),
    [0.5, 0.25, 0.25],
  );
});

test('property: a key keeps its place in any order, and when another target leaves; only those of the one that left move', () => {
  const targets = ['a', 'b', 'c', 'd', 'e'].map((key) => target(key));
  fc.assert(
    fc.property(fc.string(), fc.shuffledSubarray(targets, { minLength: 5 }), fc.nat(4), (key, shuffled, gone) => {
      const place = chooseByAffinity(targets, key);
      assert.equal(chooseByAffinity(shuffled, key), place);
      const left = targets.filter((_, i) => i !== gone);
      if (left.includes(place)) assert.equal(chooseByAffinity(left, key), place);
    }),
  );
});

test('health is the recent share of successes; it never reaches nothing, and recovers', () => {
  const health = new Health();
  assert.equal(health.value, 1);
  for (let i = 0; i < 200; i++) health.record(i % 2 === 0);
  assert.ok(Math.abs(health.value - 0.5) < 0.1);
  for (let i = 0; i < 200; i++) health.record(false);
  assert.equal(health.value, 0.05);
  for (let i = 0; i < 50; i++) health.record(true);
  assert.ok(health.value > 0.95);
  health.record(false);
  health.reset();
  assert.equal(health.value, 1);
});
