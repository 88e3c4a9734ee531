import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AVOIDED_MS, isSecondWitness, SUSPICION_MS, Suspicion } from './suspicion.ts';
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
  assert.equal(suspicion.testify(0, witness('one'), 'auth'), false);
  for (let i = 1; i < 10; i++) assert.equal(suspicion.testify(i, witness('one', `b${i}`), 'auth'), false);
  assert.equal(suspicion.testify(10, witness('two'), 'auth'), true);
});

test('a success between ends it, another reason begins it anew, and it does not last for ever', () => {
  const suspicion = new Suspicion();
  suspicion.testify(0, witness('one'), 'auth');
  suspicion.clear();
  assert.equal(suspicion.isRaised(0), false);
  assert.equal(suspicion.testify(1, witness('two'), 'auth'), false);
  assert.equal(suspicion.testify(2, witness('three'), 'quota'), false);
  assert.equal(suspicion.isRaised(2 + SUSPICION_MS - 1), true);
  assert.equal(suspicion.isRaised(2 + SUSPICION_MS), false);
  assert.equal(suspicion.testify(2 + SUSPICION_MS, witness('four'), 'quota'), false);
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
  assert.equal(suspicion.testify(1, witness('one'), 'auth'), false);
  assert.equal(suspicion.testify(2, witness('two'), 'auth'), false);
  assert.equal(suspicion.isRaised(2), false);
  assert.equal(suspicion.testify(3, witness('three'), 'auth'), false);
  assert.equal(suspicion.testify(4, witness('two'), 'auth'), false);
  assert.equal(suspicion.testify(5, witness('four'), 'auth'), true);
  const later = SUSPICION_MS + 5;
  suspicion.clear();
  assert.equal(suspicion.testify(later, witness('one'), 'auth'), false);
  assert.equal(suspicion.testify(later, witness('two'), 'auth'), true);
});
