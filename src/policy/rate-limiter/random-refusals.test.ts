import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Need } from '../../core/resource.ts';
import { LearnedRate } from './learned-rate.ts';

const MINUTE = 60_000;
const ONE: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };

function make(): LearnedRate {
  return new LearnedRate({ id: 'p', kind: 'requests', enforce: 'bucket', startsCarefully: false, isConfigured: false, configured: [] });
}

/** Calls to a provider without a limit that refuses a share of them, regardless of the rate. */
function driveRandom(rate: LearnedRate, share: number, callsPerSecond: number, minutes: number): { sent: number; slowed: number } {
  let [turn, sent, slowed] = [0, 0, 0];
  for (let asked = 0; asked < minutes * MINUTE; asked += 1000 / callsPerSecond) {
    const now = rate.earliest(asked, ONE);
    if (now - asked > 1000) slowed++;
    sent++;
    const ticket = rate.reserve(now, ONE);
    turn += 0.618_034;
    if (turn % 1 < share) rate.refused(now + 20, now, ONE);
    else rate.served(now + 50, now, ONE);
    rate.settle(now + 60, ticket, ONE, { usage: null, health: 'neutral' });
  }
  return { sent, slowed };
}

test('refusals that do not depend on the rate slow calls down for a few seconds, and then never again', () => {
  for (const share of [0.01, 0.03, 0.05, 0.1]) {
    const rate = make();
    const { sent, slowed } = driveRandom(rate, share, 50, 10);
    assert.deepEqual(rate.known(10 * MINUTE), [], `${share}`);
    assert.ok(slowed < 0.02 * sent, `${slowed} of ${sent} waited for more than a second, with ${share} refused`);
  }
});

test('a few random refusals among many calls need no pause; the first in a minute, or a series, does', () => {
  const rate = make();
  let now = 0;
  const call = (): number => {
    now += 20;
    rate.reserve(now, ONE);
    return now;
  };
  const serve = (): void => {
    const startedAt = call();
    rate.served(startedAt + 15, startedAt, ONE);
  };
  const refuse = (): boolean => {
    const startedAt = call();
    return rate.refused(startedAt + 10, startedAt, ONE);
  };
  for (let i = 0; i < 100; i++) serve();
  assert.equal(refuse(), true, 'the first');
  for (let i = 0; i < 20; i++) serve();
  assert.equal(refuse(), false, 'one of many');
  const row = Array.from({ length: 20 }, refuse);
  assert.equal(row.at(-1), true, 'a series');
});

test('three random refusals within a minute do not slow down a target with a call every three seconds', () => {
  const rate = make();
  const refusedOnes = new Set([100, 104, 110, 300, 303, 309]);
  for (let i = 0; i < 600; i++) {
    const asked = i * 3000;
    assert.equal(rate.earliest(asked, ONE), asked, `call ${i}`);
    rate.reserve(asked, ONE);
    if (refusedOnes.has(i)) rate.refused(asked + 20, asked, ONE);
    else rate.served(asked + 20, asked, ONE);
  }
  assert.deepEqual(rate.known(1_800_000), []);
});

test('a limit that refuses half of few calls is detected', () => {
  const rate = make();
  let refused = 0;
  for (let i = 0; i < 400; i++) {
    const now = rate.earliest(i * 2500, ONE);
    rate.reserve(now, ONE);
    if (i % 2 === 0) {
      refused++;
      rate.refused(now + 20, now, ONE);
    } else rate.served(now + 20, now, ONE);
    if (rate.known(now).length > 0) break;
  }
  assert.ok(refused <= 10, `${refused} refusals`);
});
