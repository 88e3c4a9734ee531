import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import { createLedger, exchange } from './ledger.ts';

const NOBODY: LeaseClaim = {
  id: 'requests',
  capacity: 100,
  rate: 0.01,
  countedMs: 0,
  epoch: 0,
  poolLevel: 0,
  heldCapacity: 0,
  heldRate: 0,
  usage: [],
  level: 0,
  uncounted: 0,
  returned: 0,
  debt: 0,
  wantCapacity: 0,
  wantRate: 0,
  wantTokens: 0,
  first: 0,
  rank: 1,
  hasStarted: false,
};
const WAITING: Partial<LeaseClaim> = { wantCapacity: 100, wantRate: 0.01, wantTokens: 100, first: 1 };

/** A ledger of 100 requests and 0.01 per millisecond, and members that keep what they are granted. */
function fleet(over: Partial<LeaseClaim> = {}) {
  const ledger = createLedger(0, over.capacity ?? NOBODY.capacity, 1);
  const held = new Map<string, LeaseGrant>();
  const dead = new Set<string>();
  return {
    ledger,
    dead,
    claim: (now: number, name: string, claim: Partial<LeaseClaim>): LeaseGrant => {
      const before = held.get(name);
      const kept = before && { epoch: before.epoch, poolLevel: before.poolLevel, heldCapacity: before.capacity, heldRate: before.rate };
      const granted = exchange(ledger, name, { ...NOBODY, ...over, ...kept, ...claim }, now, (member) => !dead.has(member));
      held.set(name, granted);
      return granted;
    },
  };
}

test('a lone member that waits gets everything', () => {
  const { capacity, rate, tokens, lacks } = fleet().claim(0, 'a', WAITING);
  assert.deepEqual([capacity, rate, tokens, lacks], [100, 0.01, 100, false]);
});

test('what one member holds is not granted to another, which learns its fair share', () => {
  const { claim } = fleet();
  claim(0, 'a', WAITING);
  const granted = claim(10, 'b', WAITING);
  assert.deepEqual([granted.capacity, granted.rate, granted.tokens, granted.lacks], [0, 0, 0, true]);
  const result = claim(20, 'a', WAITING);
  assert.ok(result.isContested);
  assert.equal(result.fairRate, 0.005);
});

test('what a member gives back is granted to the waiting one at its next claim', () => {
  const { claim, ledger } = fleet();
  claim(0, 'a', WAITING);
  claim(10, 'b', WAITING);
  claim(20, 'a', { ...WAITING, heldCapacity: 50, heldRate: 0.005, level: 50, returned: 50, wantTokens: 0 });
  const granted = claim(30, 'b', WAITING);
  assert.deepEqual([granted.capacity, granted.rate, granted.tokens], [24.5, 0.005, 24.5]);
  assert.equal(ledger.level, 25.5, 'what stays in the pool for the other member has room there');
});

test('spent tokens that may not be counted yet take capacity, so that no granted token is lost', () => {
  const { claim, ledger } = fleet();
  claim(0, 'a', { wantCapacity: 20, wantTokens: 20 });
  const { capacity, tokens } = claim(10, 'a', { level: 0, uncounted: 20, wantCapacity: 50, wantTokens: 30 });
  assert.deepEqual([capacity, tokens, ledger.level], [50, 30, 50]);
});

test('capacity beyond the tokens is granted only where the pool has room for its own', () => {
  const { claim, ledger } = fleet();
  assert.deepEqual(claim(0, 'a', { wantCapacity: 60, wantTokens: 20 }).capacity, 20);
  claim(10, 'a', { level: 0, returned: -30, wantCapacity: 60 });
  assert.deepEqual([claim(20, 'a', { level: 0, wantCapacity: 60 }).capacity, ledger.level], [50, 50]);
});

test('of unequal demands the smaller one is met in full, and the larger one gets the rest', () => {
  const { claim } = fleet();
  claim(0, 'a', { wantRate: 0.002, wantCapacity: 10 });
  assert.equal(claim(1, 'b', WAITING).rate, 0.008);
});

test('the part of a dead member is free again, but not the tokens that it had', () => {
  const { claim, dead, ledger } = fleet();
  claim(0, 'a', WAITING);
  dead.add('a');
  const granted = claim(5_000, 'b', WAITING);
  assert.deepEqual([granted.capacity, granted.rate, granted.tokens], [100, 0.01, 0]);
  assert.equal(ledger.parts.has('a'), false);
});

test('what a dead member used of a window stays reserved until it no longer counts at the provider', () => {
  const { claim, dead } = fleet({ rate: 0, countedMs: 60_000 });
  const wants = { wantCapacity: 100, first: 1 };
  claim(0, 'a', { ...wants, heldCapacity: 80 });
  dead.add('a');
  assert.equal(claim(30_000, 'b', wants).capacity, 0);
  assert.equal(claim(62_000, 'b', wants).capacity, 100);
});

test('what a dead member used of a window returns when it no longer counts, and what it may have used since when the window has passed', () => {
  const { claim, dead, ledger } = fleet({ rate: 0, countedMs: 60_000, capacity: 100 });
  // 20 return within 6 s, 30 within 60 s; 10 were held for calls.
  claim(0, 'a', { heldCapacity: 60, wantCapacity: 60, usage: [20, 0, 0, 0, 0, 0, 0, 0, 0, 30] });
  dead.add('a');
  const free = (now: number): number => 100 - (claim(now, 'b', { heldCapacity: 0 }), ledger.parts.get('a')?.capacity ?? 0);
  assert.deepEqual([free(5_999), free(6_000), free(6_001), free(59_999), free(60_000), free(62_000)], [40, 60, 60, 60, 90, 100]);
});

test('a ledger that was lost restarts no higher than the last level that a member knew', () => {
  const { claim, ledger } = fleet();
  claim(0, 'a', { ...WAITING, epoch: 77, poolLevel: 3 });
  assert.ok(ledger.level <= 3);
});

test('where members cannot each have two requests, refill stays in the pool and whole requests go to the member that has waited longest', () => {
  const { claim } = fleet({ capacity: 2, rate: 0.001 });
  const waiting = { ...WAITING, wantCapacity: 2, wantRate: 0.001, wantTokens: 2 };
  claim(0, 'a', { ...waiting, heldCapacity: 0 });
  claim(0, 'a', { ...waiting, heldCapacity: 0, heldRate: 0, first: 0, wantCapacity: 0, wantRate: 0, wantTokens: 0 });
  claim(100, 'b', { ...waiting, heldRate: 0 });
  const [third, again] = [
    claim(200, 'a', { ...waiting, heldCapacity: 0, heldRate: 0 }),
    claim(1_200, 'b', { ...waiting, heldCapacity: 0, heldRate: 0 }),
  ];
  assert.equal(third.rate, 0);
  assert.equal(third.tokens, 0);
  assert.ok(third.readyInMs > 0);
  assert.ok(again.tokens >= 1);
});

test('a higher class goes before a member that has waited longer', () => {
  const { claim } = fleet({ capacity: 10, rate: 0.001 });
  claim(0, 'busy', { wantCapacity: 10, wantTokens: 10, first: 1, wantRate: 0.001 });
  claim(1, 'low', { ...WAITING, first: 4, rank: 2, wantCapacity: 10, wantTokens: 10 });
  claim(2, 'high', { ...WAITING, first: 4, rank: 0, wantCapacity: 10, wantTokens: 10 });
  claim(3, 'busy', { heldCapacity: 0, heldRate: 0, returned: 5 });
  assert.equal(claim(4, 'low', { ...WAITING, first: 4, rank: 2, wantCapacity: 10, wantTokens: 10 }).tokens < 4, true);
  assert.ok(claim(5, 'high', { ...WAITING, first: 4, rank: 0, wantCapacity: 10, wantTokens: 10 }).tokens >= 4);
});

test('two members that use all places they hold keep even shares, whichever has waited longer', () => {
  const { claim } = fleet({ capacity: 40, rate: 0 });
  const uses = (used: number): Partial<LeaseClaim> => ({ heldCapacity: used, wantCapacity: 40, first: used + 1, hasStarted: false });
  claim(0, 'a', uses(20));
  claim(1, 'b', uses(20));
  for (let now = 1_000; now < 5_000; now += 1_000) {
    assert.deepEqual([claim(now, 'a', uses(20)).fairCapacity, claim(now + 1, 'b', uses(20)).fairCapacity], [20, 20]);
  }
});

test('of fewer places than members, the one that has waited longest gets the next', () => {
  const { claim } = fleet({ capacity: 1, rate: 0 });
  const waits: Partial<LeaseClaim> = { heldCapacity: 0, wantCapacity: 1, first: 1 };
  claim(0, 'a', waits);
  assert.equal(claim(1, 'b', waits).capacity, 0);
  assert.ok(claim(2, 'a', { ...waits, heldCapacity: 1, hasStarted: true }).fairCapacity < 1);
  claim(3, 'a', { ...waits, hasStarted: true });
  assert.equal(claim(4, 'b', waits).capacity, 1);
});
