import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONFIRMED_HOLDS_MS, ConfirmedRefusals, SIGNATURES_MAX, LOGGED_EVERY_MS } from './confirmed-refusals.ts';

test('a confirmed refusal counts as the caller’s error for ten minutes', () => {
  const refusals = new ConfirmedRefusals();
  assert.equal(refusals.isCallerError(0, 'e'), false);
  refusals.confirm(0, 'e');
  assert.equal(refusals.isCallerError(CONFIRMED_HOLDS_MS - 1, 'e'), true);
  assert.equal(refusals.isCallerError(CONFIRMED_HOLDS_MS, 'e'), false);
  assert.equal(refusals.isCallerError(1, 'another'), false);
});

test('one in fifty consecutive refusals gets another opinion; a response restarts the count', () => {
  const refusals = new ConfirmedRefusals();
  refusals.confirm(0, 'e');
  const ask = (times: number): number =>
    Array.from({ length: times }, () => refusals.isCallerError(1, 'e')).filter((isCallerError) => !isCallerError).length;
  assert.equal(ask(49), 0);
  assert.equal(ask(1), 1);
  assert.equal(ask(49), 0);
  refusals.responded();
  assert.equal(ask(49), 0);
});

test('each signature is logged once in ten minutes', () => {
  const refusals = new ConfirmedRefusals();
  assert.deepEqual(
    [refusals.shouldLog(0, 'e'), refusals.shouldLog(1, 'e'), refusals.shouldLog(1, 'f'), refusals.shouldLog(LOGGED_EVERY_MS, 'e')],
    [true, false, true, true],
  );
});

test('the number of signatures is bounded', () => {
  const refusals = new ConfirmedRefusals();
  for (let i = 0; i < 10 * SIGNATURES_MAX; i++) refusals.confirm(i, String(i));
  assert.equal(refusals.isCallerError(1_000, '0'), false);
  assert.equal(refusals.isCallerError(1_000, String(10 * SIGNATURES_MAX - 1)), true);
});
