import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { RoundOdds, STRIKES_MAX } from './round-odds.ts';

test('a request is at fault after three failures where others succeed, and after more where many fail', () => {
  const after = (succeeded: number, failed: number): number => {
    const odds = new RoundOdds();
    for (let i = 0; i < succeeded; i++) odds.firstEnded(false);
    for (let i = 0; i < failed; i++) odds.firstEnded(true);
    for (let i = 0; i < succeeded; i++) odds.succeeded(0);
    for (let i = 0; i < failed; i++) odds.succeeded(1);
    return odds.strikesNeeded;
  };
  assert.equal(after(2, 0), 4);
  assert.equal(after(500, 0), 3);
  assert.ok(after(400, 100) >= 8 && after(400, 100) <= 10, `${after(400, 100)}`);
  assert.equal(after(10, 500), STRIKES_MAX);
});

test('requests that never succeed do not count towards the chance', () => {
  const odds = new RoundOdds();
  for (let i = 0; i < 3; i++) odds.firstEnded(true);
  for (let i = 0; i < 7; i++) {
    odds.firstEnded(false);
    odds.succeeded(0);
  }
  assert.equal(odds.strikesNeeded, 4);
  assert.equal(odds.callsNeeded, 6);
});

test('of 100,000 requests that fail at random, in rounds that all of them have, at most one is at fault', () => {
  for (const share of [0.02, 0.1, 0.2, 0.3]) {
    const random = createSeededRandom(7);
    const odds = new RoundOdds();
    let waiting = Array.from({ length: 100_000 }, () => 0);
    let atFault = 0;
    for (let round = 0; waiting.length > 0; round++) {
      const next: number[] = [];
      for (const strikes of waiting) {
        const hasFailed = random.next() < share;
        if (round === 0) odds.firstEnded(hasFailed);
        if (!hasFailed) odds.succeeded(strikes);
        else if (strikes + 1 >= Math.max(5, odds.strikesNeeded)) atFault++;
        else next.push(strikes + 1);
      }
      waiting = next;
    }
    assert.ok(atFault <= 1, `${atFault} at ${share}`);
  }
});
