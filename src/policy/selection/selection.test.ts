import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { Health } from './health.ts';
import { chooseByAffinity, chooseByWeight, takeTurn } from './selection.ts';
import type { Weighted } from './selection.ts';

const KIND = 0;

interface Seen extends Weighted {
  /** The expected time to first content. */
  expected: number | null;
}

const target = (affinityKey: string, weight = 1, health = 1, time = { now: 0 }): Seen => ({
  affinityKey,
  weight,
  time,
  turn: 0,
  slowness: 1,
  healthAt: () => health,
  expected: null,
  expectedMs() {
    return this.expected;
  },
});

function tier(...weights: readonly (readonly [weight: number, health?: number])[]): Seen[] {
  const time = { now: 0 };
  return weights.map(([weight, health], i) => target(`${i}`, weight, health, time));
}

/** The targets on which the next requests start, by index in the tier. */
function starts(targets: readonly Weighted[], count: number, seed = 5, startable: readonly Weighted[] = targets): number[] {
  const random = createSeededRandom(seed);
  return Array.from({ length: count }, () => {
    const chosen = chooseByWeight(startable, KIND, 0, random);
    takeTurn(chosen, 0);
    return targets.indexOf(chosen);
  });
}

const countsOf = (chosen: readonly number[], targets: readonly Weighted[]) =>
  targets.map((_, i) => chosen.filter((index) => index === i).length);

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

test('requests are shared exactly by weight', () => {
  const targets = tier([3], [1]);
  assert.deepEqual(countsOf(starts(targets, 40), targets), [30, 10]);
});

test('equal targets take turns; the first one is random', () => {
  const firsts = new Set<number>();
  for (let seed = 0; seed < 20; seed++) {
    const targets = tier([1], [1], [1]);
    const chosen = starts(targets, 30, seed);
    for (let round = 0; round < 30; round += 3) assert.equal(new Set(chosen.slice(round, round + 3)).size, 3);
    firsts.add(chosen[0]!);
  }
  assert.equal(firsts.size, 3);
});

test('a target that fails often gets fewer requests', () => {
  const targets = tier([1, 0.5], [1, 1]);
  assert.deepEqual(countsOf(starts(targets, 100), targets), [20, 80]);
});

test('one that is far slower than the fastest gets far fewer requests, but never none', () => {
  const targets = tier([1], [1]);
  targets[0]!.expected = 500;
  const shares: number[] = [];
  for (const expected of [250, 1000, 1500, 2000, 1e9]) {
    targets[1]!.expected = expected;
    for (const one of targets) one.turn = 0;
    targets[0]!.time.now = 0;
    shares.push(countsOf(starts(targets, 210), targets)[1]!);
  }
  assert.deepEqual(shares, [105, 105, 48, 24, 10]);
});

test('unknown times, and times that are fast enough, make no difference', () => {
  const targets = tier([3], [1]);
  for (const [first, second] of [
    [null, 50_000],
    [50_000, null],
    [1, 190],
    [190, 1],
  ] as const) {
    [targets[0]!.expected, targets[1]!.expected] = [first, second];
    assert.deepEqual(countsOf(starts(targets, 40), targets), [30, 10]);
  }
});

test('a target that was unavailable does not catch up on missed turns', () => {
  const targets = tier([1], [1]);
  starts(targets, 100, 5, [targets[0]!]);
  const [first, second] = countsOf(starts(targets, 20), targets);
  assert.ok(Math.abs(first! - second!) <= 2, `${first} and ${second}`);
});

test('property: for any weights the shares are exact to one request each', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }), fc.integer(), (weights, seed) => {
      const targets = tier(...weights.map((weight) => [weight] as const));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const counts = countsOf(starts(targets, total * 10, seed), targets);
      for (const [i, weight] of weights.entries())
        assert.ok(Math.abs(counts[i]! - weight * 10) <= weights.length, `${counts.join()} for ${weights.join()}`);
    }),
  );
});

test('property: the choice is always one of the targets, whatever the random numbers', () => {
  const weights = fc.array(
    fc.record({ weight: fc.double({ min: 1e-9, max: 1e9, noNaN: true }), health: fc.double({ min: 0.05, max: 1, noNaN: true }) }),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(weights, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (list, chance) => {
      const time = { now: 0 };
      const targets = list.map((w, i) => target(`${i}`, w.weight, w.health, time));
      assert.ok(targets.includes(chooseByWeight(targets, KIND, 0, { next: () => chance })));
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

test('property: a key keeps its target in any order; when a target leaves, only its own keys move', () => {
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

test('health is the recent success rate; it never reaches zero, and recovers', () => {
  const health = new Health();
  assert.equal(health.valueAt(0), 1);
  for (let i = 0; i < 200; i++) health.record(0, i % 2 === 0);
  assert.ok(Math.abs(health.valueAt(0) - 0.5) < 0.1);
  for (let i = 0; i < 200; i++) health.record(0, false);
  assert.equal(health.valueAt(0), 0.05);
  for (let i = 0; i < 50; i++) health.record(0, true);
  assert.ok(health.valueAt(0) > 0.95);
  health.record(0, false);
  health.reset();
  assert.equal(health.valueAt(0), 1);
});

test('health recovers with time without calls', () => {
  const health = new Health();
  for (let i = 0; i < 200; i++) health.record(0, false);
  const after = [60_000, 300_000, 1_200_000].map((now) => health.valueAt(now));
  assert.ok(after[0]! < 0.25 && after[1]! > 0.6 && after[2]! > 0.95, after.join(' '));
});
