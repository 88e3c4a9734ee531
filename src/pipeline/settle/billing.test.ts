import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Failure } from '../../core/facts.ts';
import { createFailure, resetFailure } from '../../wire/failure.ts';
import { isBilled } from './billing.ts';

const NOTHING = { model: null, usage: null, finishReason: null, hasContent: false };

function billed(status: number, failure: Failure | null, more: { sent?: boolean; hasContent?: boolean } = {}): boolean {
  const { sent = true, hasContent = false } = more;
  return isBilled({ facts: { ...NOTHING, hasContent }, status, sent }, failure);
}

test('a call that was sent is billed unless an error came in place of a response', () => {
  assert.equal(billed(0, null), true, 'closed by the gateway');
  assert.equal(billed(0, createFailure('timeout', 'headers', '')), true);
  assert.equal(billed(0, resetFailure('ECONNRESET', false)), true);
  assert.equal(billed(200, null), true);
  assert.equal(billed(200, createFailure('error', 'answer', ''), { hasContent: true }), true, 'an error after content');
});

test('a call that no provider has worked on is free', () => {
  assert.equal(billed(0, createFailure('connect', 'connect', ''), { sent: false }), false);
  assert.equal(billed(0, null, { sent: false }), false, 'closed while it connected');
  assert.equal(billed(0, createFailure('exhausted', 'headers', '')), false);
  assert.equal(billed(0, resetFailure('ECONNRESET', true)), false, 'on a reused connection that had been closed');
  for (const status of [304, 400, 429, 500]) assert.equal(billed(status, createFailure('status', 'answer', '')), false, String(status));
  assert.equal(billed(200, createFailure('error', 'first_content', '')), false, 'an error in place of a response');
});
