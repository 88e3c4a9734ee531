import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AVOIDED_MS, isSecondWitness, SOLE_AFTER_MS, SOLE_QUIET_MS, SUSPICION_MS, Suspicion } from './suspicion.ts';
import type { Witness } from './suspicion.ts';

const witness = (client: string, body = 'b1', model = 'm1'): Witness => ({ client, body, model });

test('a second witness is another client, or the same one with another body for another model', () => {
  const first = witness('one');
  assert.equal(isSecondWitness(first, witness('two')), true);
  assert.equal(isSecondWitness(first, witness('one')), false);
  assert.equal(isSecondWitness(first, witness('one', 'b2')), false);
  assert.equal(isSecondWitness(first, witness('one', 'b1', 'm2')), false);
  assert.equal(isSecondWitness(first, witness('one', 'b2', 'm2')), true);
});

test('the second witness confirms, whatever the first one repeats in between', () => {
  const suspicion = new Suspicion();
  assert.equal(suspicion.testify(0, witness('one'), 'auth'), null);
  for (let i = 1; i < 10; i++) assert.equal(suspicion.testify(i, witness('one', `b${i % 2}`), 'auth'), null);
  assert.equal(suspicion.testify(10, witness('two'), 'auth'), 'all');
});

test('a success between ends it, another reason begins it anew, and it does not last for ever', () => {
  const suspicion = new Suspicion();
  suspicion.testify(0, witness('one'), 'auth');
  suspicion.clear();
  assert.equal(suspicion.isRaised(0), false);
  assert.equal(suspicion.testify(1, witness('two'), 'auth'), null);
  assert.equal(suspicion.testify(2, witness('three'), 'quota'), null);
  assert.equal(suspicion.isRaised(2 + SUSPICION_MS - 1), true);
  assert.equal(suspicion.isRaised(2 + SUSPICION_MS), false);
  assert.equal(suspicion.testify(2 + SUSPICION_MS, witness('four'), 'quota'), null);
});

test('it is fresh for a moment after each refusal', () => {
  const suspicion = new Suspicion();
  assert.equal(suspicion.isFresh(0), false);
  suspicion.testify(0, witness('one'), 'auth');
  assert.equal(suspicion.isFresh(AVOIDED_MS - 1), true);
  assert.equal(suspicion.isFresh(AVOIDED_MS), false);
  suspicion.testify(AVOIDED_MS, witness('one'), 'auth');
  assert.equal(suspicion.isFresh(AVOIDED_MS + 1), true);
  suspicion.clear();
  assert.equal(suspicion.isFresh(AVOIDED_MS + 1), false);
});

test('clients that were wrong together prove nothing for a while; others do', () => {
  const suspicion = new Suspicion();
  suspicion.discredit(0, ['one', 'two']);
  assert.equal(suspicion.testify(1, witness('one'), 'auth'), null);
  assert.equal(suspicion.testify(2, witness('two'), 'auth'), null);
  assert.equal(suspicion.isRaised(2), false);
  assert.equal(suspicion.testify(3, witness('three'), 'auth'), null);
  assert.equal(suspicion.testify(4, witness('two'), 'auth'), null);
  assert.equal(suspicion.testify(5, witness('four'), 'auth'), 'all');
  const later = SUSPICION_MS + 5;
  suspicion.clear();
  assert.equal(suspicion.testify(later, witness('one'), 'auth'), null);
  assert.equal(suspicion.testify(later, witness('two'), 'auth'), 'all');
});

/** When the bodies of one client have spanned the time that they must. */
const LATER = SOLE_AFTER_MS;

test('several bodies of one client for one model confirm it for that client and model alone', () => {
  const suspicion = new Suspicion();
  assert.equal(suspicion.testify(0, witness('one', 'b1'), 'auth'), null);
  assert.equal(suspicion.testify(LATER, witness('one', 'b2'), 'auth'), null);
  assert.equal(suspicion.testify(LATER, witness('one', 'b1'), 'auth'), null);
  assert.equal(suspicion.testify(LATER, witness('one', 'b2', 'm2'), 'auth'), 'all');
  assert.equal(suspicion.testify(LATER, witness('one', 'b3'), 'auth'), 'sole');
  assert.equal(suspicion.testify(LATER, witness('two', 'b3'), 'auth'), 'all');
});

test('a burst of them does not: others have time to decide', () => {
  const suspicion = new Suspicion();
  for (let i = 0; i < 20; i++) assert.equal(suspicion.testify(LATER - 1, witness('one', `b${i}`), 'auth'), null);
  assert.equal(suspicion.testify(2 * LATER - 1, witness('one', 'last'), 'auth'), 'sole');
});

test('a success between makes the bodies count from the beginning', () => {
  const suspicion = new Suspicion();
  for (const body of ['b1', 'b2']) suspicion.testify(0, witness('one', body), 'auth');
  suspicion.served(1, 'one');
  for (const body of ['b3', 'b4']) assert.equal(suspicion.testify(LATER, witness('one', body), 'auth'), null);
  assert.equal(suspicion.testify(2 * LATER, witness('one', 'b5'), 'auth'), 'sole');
});

test('where another client was answered lately, one client alone confirms nothing', () => {
  const suspicion = new Suspicion();
  suspicion.served(0, 'two');
  suspicion.served(1, 'one');
  for (const body of ['b1', 'b2', 'b3']) suspicion.testify(2, witness('one', body), 'auth');
  assert.equal(suspicion.testify(SOLE_QUIET_MS, witness('one', 'b4'), 'auth'), null);
  assert.equal(suspicion.testify(SOLE_QUIET_MS + 1, witness('one', 'b5'), 'auth'), 'sole');
});
