import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Blame } from './blame.ts';
import type { Source } from './source.ts';

const A: Source = { client: 'a', request: 1 };
const B: Source = { client: 'b', request: 2 };

function failures(blame: Blame, source: Source | undefined, count: number): boolean[] {
  return Array.from({ length: count }, () => blame.failed(0, source));
}

test('as long as nobody else is answered, every failure counts', () => {
  assert.deepEqual(failures(new Blame(), A, 50), Array(50).fill(true));
  const blame = new Blame();
  blame.served(0, A);
  assert.deepEqual(failures(blame, A, 50), Array(50).fill(true));
  assert.deepEqual(failures(new Blame(), undefined, 50), Array(50).fill(true), 'without sources there is one');
});

test('two failures in a row count, and no more of that row once another client is answered', () => {
  const blame = new Blame();
  assert.deepEqual(failures(blame, A, 1), [true]);
  blame.began(0, B);
  assert.deepEqual(failures(blame, A, 3), [true, false, false]);
  assert.equal(blame.soleCauseLevel(A), 'request');
  assert.equal(blame.soleCauseLevel({ ...A, request: 9 }), 'client', 'whatever it sends next');
  assert.equal(blame.soleCauseLevel(B), null);
});

test('within one client a request, or a conversation, is told from the others', () => {
  const blame = new Blame();
  failures(blame, A, 2);
  blame.served(0, { client: 'a', request: 3 });
  assert.deepEqual(failures(blame, A, 1), [false]);
  assert.deepEqual(failures(blame, { client: 'a', request: 4 }, 2), [true, true]);
});

test('who is served itself starts anew', () => {
  const blame = new Blame();
  failures(blame, A, 5);
  blame.served(0, B);
  assert.equal(blame.soleCauseLevel(A), 'request');
  blame.served(0, A);
  assert.equal(blame.streakOf(A), 0);
  assert.deepEqual(failures(blame, A, 2), [true, true]);
});

test('an answer that only began makes nobody start anew: it may break off', () => {
  const blame = new Blame();
  for (let i = 0; i < 4; i++) {
    blame.began(0, A);
    blame.began(0, B);
    blame.failed(0, A);
  }
  assert.equal(blame.streakOf(A), 4);
  assert.equal(blame.soleCauseLevel(A), 'request');
});

test('when others fail too, everybody counts again', () => {
  const blame = new Blame();
  failures(blame, A, 3);
  blame.served(0, B);
  blame.clearContradictions();
  assert.deepEqual(failures(blame, A, 2), [true, true]);
});

test('it knows who was answered beside a client, and how long ago', () => {
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

test('suspects are bounded: the one that failed least recently is forgotten, and who fails again and again stays known', () => {
  const blame = new Blame();
  for (let i = 0; i < 10_000; i++) {
    blame.failed(i, A);
    blame.failed(i, { client: `c${i}`, request: i + 10 });
  }
  assert.equal(blame.suspects.length, 32);
  assert.equal(blame.streakOf(A), 10_000);
  blame.served(10_000 + 6 * 60_000, B);
  assert.equal(blame.suspects.length, 0, 'and all are after five minutes');
});
