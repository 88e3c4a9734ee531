import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drop, rename, UNASK, unset } from './repair.ts';
import { CLEARED_FOR_MS, LESSON_HOLDS_MS, LESSONS_MAX, PROBE_EVERY_MS, KnownRepairs, TRUST_HOLDS_MS } from './known-repairs.ts';
import type { Repair } from './repair.ts';

const all = (): boolean => true;
const keysOf = (repairs: readonly Repair[]): string[] => repairs.map(({ key }) => key);

test('a repair applies until one request is sent without it, every ten minutes', () => {
  const book = new KnownRepairs();
  book.learn(0, UNASK, true);
  assert.deepEqual(keysOf(book.for(1, all)), ['unask']);
  assert.deepEqual(keysOf(book.for(PROBE_EVERY_MS - 1, all)), ['unask']);
  assert.deepEqual(keysOf(book.for(PROBE_EVERY_MS, all)), []);
  assert.deepEqual(keysOf(book.for(PROBE_EVERY_MS, all)), ['unask']);
});

test('a request that a repair does not concern is no probe', () => {
  const book = new KnownRepairs();
  book.learn(0, UNASK, true);
  assert.deepEqual(
    book.for(PROBE_EVERY_MS, () => false),
    [],
  );
  assert.deepEqual(book.for(PROBE_EVERY_MS, all), []);
});

test('one repair is probed at a time', () => {
  const book = new KnownRepairs();
  book.learn(0, drop('a', null), true);
  book.learn(0, drop('b', null), true);
  assert.deepEqual(keysOf(book.for(PROBE_EVERY_MS, all)), ['drop b']);
  assert.deepEqual(keysOf(book.for(PROBE_EVERY_MS, all)), ['drop a']);
  assert.deepEqual(keysOf(book.for(PROBE_EVERY_MS, all)), ['drop a', 'drop b']);
});

test('a repair that no error named is probed at once, and then like any other', () => {
  const book = new KnownRepairs();
  book.learn(0, UNASK, false);
  assert.deepEqual(book.for(0, all), []);
  book.learn(1, UNASK, false);
  assert.deepEqual(keysOf(book.for(2, all)), ['unask']);
});

test('a repair ends an hour after the last refusal, or when a request that started after it is served without it', () => {
  const book = new KnownRepairs();
  book.learn(0, UNASK, true);
  assert.deepEqual(book.for(LESSON_HOLDS_MS + 1, all), []);
  assert.ok(book.isEmpty);
  book.learn(10, UNASK, true);
  book.accepted(9, all);
  assert.ok(!book.isEmpty);
  book.accepted(10, all);
  assert.ok(book.isEmpty);
});

test('the numbers of repairs, trusted and cleared edits are bounded', () => {
  const book = new KnownRepairs();
  for (let i = 0; i < 10_000; i++) {
    book.learn(i, drop(`f${i}`, null), true);
    book.trust(i, `k${i}`);
    book.clear(i, `k${i}`, 'e');
  }
  assert.equal(book.for(10_000, all).length, LESSONS_MAX);
  assert.equal(book.isTrusted(10_000, 'k0'), false);
  assert.equal(book.isCleared(10_000, 'k0', 'e'), false);
  assert.equal(book.isTrusted(10_000, 'k9999'), true);
  assert.equal(book.isCleared(10_000, 'k9999', 'e'), true);
});

test('a repair for a long value is not stored', () => {
  const book = new KnownRepairs();
  book.learn(0, drop('f', 'x'.repeat(201)), true);
  assert.ok(book.isEmpty);
});

test('trust and clearance expire, and a refusal ends trust', () => {
  const book = new KnownRepairs();
  const edit = unset('temperature', '1');
  book.trust(0, edit.key);
  book.clear(0, edit.key, 'e');
  assert.ok(book.isTrusted(TRUST_HOLDS_MS - 1, edit.key) && book.isCleared(CLEARED_FOR_MS - 1, edit.key, 'e'));
  assert.ok(!book.isTrusted(TRUST_HOLDS_MS, edit.key) && !book.isCleared(CLEARED_FOR_MS, edit.key, 'e'));
  assert.ok(!book.isCleared(1, edit.key, 'another error'));
  book.learn(1, edit, true);
  assert.ok(!book.isTrusted(2, edit.key));
});

test('a server error without details raises suspicion from the second one on, once a second', () => {
  const book = new KnownRepairs();
  assert.deepEqual(
    [book.isVagueAgain(0), book.isVagueAgain(1), book.isVagueAgain(2), book.isVagueAgain(1_001)],
    [false, true, false, true],
  );
  assert.equal(book.isVagueAgain(TRUST_HOLDS_MS), false);
});

test('a field with three refused values is dropped as a whole, unless another value was accepted', () => {
  const book = new KnownRepairs();
  for (const value of ['1', '2', '2', '3']) book.learn(0, drop('top_k', value), true);
  assert.ok(keysOf(book.for(1, all)).includes('drop top_k'));
  const other = new KnownRepairs();
  for (const value of ['1', '2']) other.learn(0, drop('top_k', value), true);
  other.takes(1, (field) => field === 'top_k');
  other.learn(2, drop('top_k', '3'), true);
  assert.deepEqual(keysOf(other.for(3, all)), ['drop top_k=1', 'drop top_k=2', 'drop top_k=3']);
});

test('equal repairs have equal keys', () => {
  const keys = [UNASK, unset('a', '1'), unset('a', '2'), drop('a', null), drop('a', '1'), rename('a', 'b'), rename('b', 'a')].map(
    ({ key }) => key,
  );
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(drop('a', '1').key, drop('a', '1').key);
});
