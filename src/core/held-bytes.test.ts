import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldBytes } from './held-bytes.ts';

test('bodies are refused at the limit; bytes that are in memory already are counted beyond it', () => {
  let max = 100;
  const held = new HeldBytes(() => max);
  assert.equal(held.tryHold(80), true);
  assert.equal(held.tryHold(21), false);
  assert.deepEqual([held.total, held.isFull], [80, false]);
  held.hold(40);
  assert.deepEqual([held.total, held.isFull], [120, true]);
  max = 200;
  assert.equal(held.isFull, false);
  held.release(120);
  assert.equal(held.total, 0);
  assert.throws(() => held.release(1), /given back once/);
});

test('a holder may hold as much as remains free for others', () => {
  const held = new HeldBytes(
    () => 1000,
    () => true,
  );
  const [greedy, modest, third] = ['greedy', 'modest', 'third'].map((holder) => held.of(holder));
  const fill = (account: typeof greedy): number => {
    while (account!.tryHold(10) === 'held');
    return account!.total;
  };
  held.of('someone').hold(1);
  assert.equal(fill(greedy), 500);
  assert.equal(greedy!.tryHold(10), 'share');
  assert.equal(fill(modest), 250);
  assert.equal(fill(third), 130);
  assert.equal(held.total, 881);
  for (const account of [greedy, modest, third]) account!.release(account!.total);
  held.of('someone').release(1);
  assert.deepEqual([held.total, held.holders], [0, 0]);
});

test('a single holder may use all memory; a lower priority leaves a part free', () => {
  const held = new HeldBytes(() => 1000);
  const account = held.of('only');
  assert.equal(account.tryHold(600), 'held');
  assert.equal(account.tryHold(200, 1 / 4), 'full');
  assert.equal(account.tryHold(200, 1 / 8), 'held');
  assert.equal(account.tryHold(200), 'held');
  assert.equal(account.tryHold(1), 'full');
});

test('a single request may use all memory, regardless of the reserve', () => {
  const held = new HeldBytes(
    () => 1000,
    () => true,
  );
  const account = held.of('one');
  for (let own = 0; own < 1000; own += 100) assert.equal(account.tryHold(100, 1 / 4, own), 'held');
  assert.equal(account.tryHold(1, 0, 1000), 'full');
});

test('responses are buffered up to half of the memory', () => {
  const held = new HeldBytes(() => 1000);
  const account = held.of('one');
  account.hold(499);
  assert.equal(account.isFull, false);
  account.hold(1);
  assert.equal(account.isFull, true);
});
