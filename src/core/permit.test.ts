import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssertionError } from './assert.ts';
import { Permit } from './permit.ts';
import type { Need, Resource, Settlement } from './resource.ts';

const NEED: Need = { requests: 1, inputTokens: 10, outputTokens: 5 };
const SETTLEMENT: Settlement = { usage: null, health: 'success' };

function recorder(name: string, ticket: number, log: string[]): Resource {
  return {
    id: name,
    kind: 'requests',
    earliest: (now) => now,
    reserve: () => (log.push(`${name} reserve`), ticket),
    settle: (now, got, need, settlement) => {
      assert.deepEqual([need, settlement], [NEED, SETTLEMENT]);
      log.push(`${name} settle ${got} at ${now}`);
    },
    cancel: (now, got, need) => {
      assert.equal(need, NEED);
      log.push(`${name} cancel ${got} at ${now}`);
    },
  };
}

function makePermit(): { permit: Permit; log: string[] } {
  const log: string[] = [];
  const permit = Permit.reserve(5, NEED, [recorder('a', 7, log), recorder('b', 9, log)]);
  return { permit, log };
}

test('reserves from every resource and settles each with its own ticket', () => {
  const { permit, log } = makePermit();
  assert.equal(permit.isOpen, true);
  permit.settle(8, SETTLEMENT);
  assert.deepEqual(log, ['a reserve', 'b reserve', 'a settle 7 at 8', 'b settle 9 at 8']);
  assert.equal(permit.isOpen, false);
});

test('cancelling releases everything', () => {
  const { permit, log } = makePermit();
  permit.cancel(6);
  assert.deepEqual(log.slice(2), ['a cancel 7 at 6', 'b cancel 9 at 6']);
});

test('closes exactly once: any second close fails and reaches no resource', () => {
  const close = { settle: (p: Permit) => p.settle(9, SETTLEMENT), cancel: (p: Permit) => p.cancel(9) };
  for (const first of [close.settle, close.cancel]) {
    for (const second of [close.settle, close.cancel]) {
      const { permit, log } = makePermit();
      first(permit);
      assert.throws(() => second(permit), AssertionError);
      assert.equal(log.length, 4);
    }
  }
});
