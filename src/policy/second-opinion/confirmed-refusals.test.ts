import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONFIRMED_HOLDS_MS, ConfirmedRefusals, SIGNATURES_MAX, LOGGED_EVERY_MS } from './confirmed-refusals.ts';

test('a confirmed refusal is the caller’s for ten minutes', () => {
  const book = new ConfirmedRefusals();
  assert.equal(book.isCallers(0, 'e'), false);
  book.confirm(0, 'e');
  assert.equal(book.isCallers(CONFIRMED_HOLDS_MS - 1, 'e'), true);
  assert.equal(book.isCallers(CONFIRMED_HOLDS_MS, 'e'), false);
  assert.equal(book.isCallers(1, 'another'), false);
});

test('one of fifty in a row gets another opinion; an answer begins a new row', () => {
  const book = new ConfirmedRefusals();
  book.confirm(0, 'e');
  const ask = (times: number): number =>
    Array.from({ length: times }, () => book.isCallers(1, 'e')).filter((isCallers) => !isCallers).length;
  assert.equal(ask(49), 0);
  assert.equal(ask(1), 1);
  assert.equal(ask(49), 0);
  book.answered();
  assert.equal(ask(49), 0);
});

test('each refusal is news once in ten minutes', () => {
  const book = new ConfirmedRefusals();
  assert.deepEqual(
    [book.isNews(0, 'e'), book.isNews(1, 'e'), book.isNews(1, 'f'), book.isNews(LOGGED_EVERY_MS, 'e')],
    [true, false, true, true],
  );
});

test('signatures are bounded', () => {
  const book = new ConfirmedRefusals();
  for (let i = 0; i < 10 * SIGNATURES_MAX; i++) book.confirm(i, String(i));
  assert.equal(book.isCallers(1_000, '0'), false);
  assert.equal(book.isCallers(1_000, String(10 * SIGNATURES_MAX - 1)), true);
});
