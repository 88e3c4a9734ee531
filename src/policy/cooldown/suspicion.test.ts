import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AVOIDED_MS, areIndependent, SOLE_AFTER_MS, SOLE_QUIET_MS, SUSPICION_MS, Suspicion } from './suspicion.ts';
import type { RefusedRequest } from './suspicion.ts';

const request = (client: string, body = 'b1', model = 'm1'): RefusedRequest => ({ client, body, model });

test('refusals are independent for another client, or for the same one with another body and another model', () => {
  const first = request('one');
  assert.equal(areIndependent(first, request('two')), true);
  assert.equal(areIndependent(first, request('one')), false);
  assert.equal(areIndependent(first, request('one', 'b2')), false);
  assert.equal(areIndependent(first, request('one', 'b1', 'm2')), false);
  assert.equal(areIndependent(first, request('one', 'b2', 'm2')), true);
});

test('an independent refusal confirms the first, whatever repetitions come between', () => {
  const suspicion = new Suspicion();
  assert.equal(suspicion.record(0, request('one'), 'auth'), null);
  for (let i = 1; i < 10; i++) assert.equal(suspicion.record(i, request('one', `b${i % 2}`), 'auth'), null);
  assert.equal(suspicion.record(10, request('two'), 'auth'), 'all');
});

test('a success clears it, another reason restarts it, and it expires', () => {
  const suspicion = new Suspicion();
  suspicion.record(0, request('one'), 'auth');
  suspicion.clear();
  assert.equal(suspicion.isRaised(0), false);
  assert.equal(suspicion.record(1, request('two'), 'auth'), null);
  assert.equal(suspicion.record(2, request('three'), 'quota'), null);
  assert.equal(suspicion.isRaised(2 + SUSPICION_MS - 1), true);
  assert.equal(suspicion.isRaised(2 + SUSPICION_MS), false);
  assert.equal(suspicion.record(2 + SUSPICION_MS, request('four'), 'quota'), null);
});

test('it is fresh for a moment after each refusal', () => {
  const suspicion = new Suspicion();
  assert.equal(suspicion.isFresh(0), false);
  suspicion.record(0, request('one'), 'auth');
  assert.equal(suspicion.isFresh(AVOIDED_MS - 1), true);
  assert.equal(suspicion.isFresh(AVOIDED_MS), false);
  suspicion.record(AVOIDED_MS, request('one'), 'auth');
  assert.equal(suspicion.isFresh(AVOIDED_MS + 1), true);
  suspicion.clear();
  assert.equal(suspicion.isFresh(AVOIDED_MS + 1), false);
});

test('clients whose refusals led to a wrong quarantine are ignored for a while; others still count', () => {
  const suspicion = new Suspicion();
  suspicion.discredit(0, ['one', 'two']);
  assert.equal(suspicion.record(1, request('one'), 'auth'), null);
  assert.equal(suspicion.record(2, request('two'), 'auth'), null);
  assert.equal(suspicion.isRaised(2), false);
  assert.equal(suspicion.record(3, request('three'), 'auth'), null);
  assert.equal(suspicion.record(4, request('two'), 'auth'), null);
  assert.equal(suspicion.record(5, request('four'), 'auth'), 'all');
  const later = SUSPICION_MS + 5;
  suspicion.clear();
  assert.equal(suspicion.record(later, request('one'), 'auth'), null);
  assert.equal(suspicion.record(later, request('two'), 'auth'), 'all');
});

/** When the bodies of one client have spanned the required time. */
const LATER = SOLE_AFTER_MS;

test('several bodies of one client for one model confirm it for that client and model alone', () => {
  const suspicion = new Suspicion();
  assert.equal(suspicion.record(0, request('one', 'b1'), 'auth'), null);
  assert.equal(suspicion.record(LATER, request('one', 'b2'), 'auth'), null);
  assert.equal(suspicion.record(LATER, request('one', 'b1'), 'auth'), null);
  assert.equal(suspicion.record(LATER, request('one', 'b2', 'm2'), 'auth'), 'all');
  assert.equal(suspicion.record(LATER, request('one', 'b3'), 'auth'), 'sole');
  assert.equal(suspicion.record(LATER, request('two', 'b3'), 'auth'), 'all');
});

test('a burst of them does not: other clients have time to decide', () => {
  const suspicion = new Suspicion();
  for (let i = 0; i < 20; i++) assert.equal(suspicion.record(LATER - 1, request('one', `b${i}`), 'auth'), null);
  assert.equal(suspicion.record(2 * LATER - 1, request('one', 'last'), 'auth'), 'sole');
});

test('a success in between restarts the count of bodies', () => {
  const suspicion = new Suspicion();
  for (const body of ['b1', 'b2']) suspicion.record(0, request('one', body), 'auth');
  suspicion.served(1, 'one');
  for (const body of ['b3', 'b4']) assert.equal(suspicion.record(LATER, request('one', body), 'auth'), null);
  assert.equal(suspicion.record(2 * LATER, request('one', 'b5'), 'auth'), 'sole');
});

test('where another client was served recently, a single client confirms nothing', () => {
  const suspicion = new Suspicion();
  suspicion.served(0, 'two');
  suspicion.served(1, 'one');
  for (const body of ['b1', 'b2', 'b3']) suspicion.record(2, request('one', body), 'auth');
  assert.equal(suspicion.record(SOLE_QUIET_MS, request('one', 'b4'), 'auth'), null);
  assert.equal(suspicion.record(SOLE_QUIET_MS + 1, request('one', 'b5'), 'auth'), 'sole');
});
