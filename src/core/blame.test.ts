import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Blame } from './blame.ts';
import type { Source } from './source.ts';

const A: Source = { client: 'a', request: 1 };
const B: Source = { client: 'b', request: 2 };

function failures(blame: Blame, source: Source | undefined, count: number): boolean[] {
  return Array.from({ length: count }, () => blame.failed(0, source));
}

test('while no other source receives a response, every failure counts', () => {
  assert.deepEqual(failures(new Blame(), A, 50), Array(50).fill(true));
  const blame = new Blame();
  blame.served(0, A);
  assert.deepEqual(failures(blame, A, 50), Array(50).fill(true));
  assert.deepEqual(failures(new Blame(), undefined, 50), Array(50).fill(true), 'requests without a source are one source');
});

test('after two consecutive failures no more count once another client receives a response', () => {
  const blame = new Blame();
  assert.deepEqual(failures(blame, A, 1), [true]);
  blame.began(0, B);
  assert.deepEqual(failures(blame, A, 3), [true, false, false]);
  assert.equal(blame.soleCauseLevel(A), 'request');
  assert.equal(blame.soleCauseLevel({ ...A, request: 9 }), 'client', 'for any request of the client');
  assert.equal(blame.soleCauseLevel(B), null);
});

test('requests or conversations of one client are distinct sources', () => {
  const blame = new Blame();
  failures(blame, A, 2);
  blame.served(0, { client: 'a', request: 3 });
  assert.deepEqual(failures(blame, A, 1), [false]);
  assert.deepEqual(failures(blame, { client: 'a', request: 4 }, 2), [true, true]);
});

test('a response clears the failures of its source', () => {
  const blame = new Blame();
  failures(blame, A, 5);
  blame.served(0, B);
  assert.equal(blame.soleCauseLevel(A), 'request');
  blame.served(0, A);
  assert.equal(blame.streakOf(A), 0);
  assert.deepEqual(failures(blame, A, 2), [true, true]);
});

test('a response that has only begun clears no failures, since it may be interrupted', () => {
  const blame = new Blame();
  for (let i = 0; i < 4; i++) {
    blame.began(0, A);
    blame.began(0, B);
    blame.failed(0, A);
  }
  assert.equal(blame.streakOf(A), 4);
  assert.equal(blame.soleCauseLevel(A), 'request');
});

test('when other sources fail too, all failures count again', () => {
  const blame = new Blame();
  failures(blame, A, 3);
  blame.served(0, B);
  blame.clearContradictions();
  assert.deepEqual(failures(blame, A, 2), [true, true]);
});

test('it records whether another client received a response, and when', () => {
  const blame = new Blame();
  assert.equal(blame.servesOthers(0, 'client', 'a', 1e9), false);
  blame.began(1000, A);
  assert.equal(blame.servesOthers(1000, 'client', 'a', 1e9), false);
  blame.began(2000, B);
  blame.began(3000, A);
  blame.began(4000, A);
  assert.equal(blame.servesOthers(4000, 'client', 'a', 2000), true);
  assert.equal(blame.servesOthers(4001, 'client', 'a', 2000), false);
  assert.equal(blame.servesOthers(4001, 'client', 'c', 2000), true);
});

test('suspects are bounded: the one that failed least recently is removed, and those that keep failing stay', () => {
  const blame = new Blame();
  for (let i = 0; i < 10_000; i++) {
    blame.failed(i, A);
    blame.failed(i, { client: `c${i}`, request: i + 10 });
  }
  assert.equal(blame.suspects.length, 32);
  assert.equal(blame.streakOf(A), 10_000);
  blame.served(10_000 + 6 * 60_000, B);
  assert.equal(blame.suspects.length, 0, 'all are removed after five minutes');
});
