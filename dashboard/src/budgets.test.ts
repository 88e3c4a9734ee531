import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitText, sessionText } from './budgets.ts';

test('a budget shows what was spent of it, and by how much it is exceeded', () => {
  const budget = { client: 'web', kind: 'budget', limit: 5 };
  assert.equal(limitText({ ...budget, available: 4.4 }), '$0.60 / $5.00 budget');
  assert.equal(limitText({ ...budget, available: 0, overrunUsd: 0.2 }), '$5.20 / $5.00 budget, over');
});

test('other limits of a client are named as those of targets', () => {
  assert.equal(limitText({ client: 'web', kind: 'requestsPerMinute', limit: 60, available: 20 }), '40 / 60 req/min');
});

test('limits of sessions are named as such', () => {
  const none = { client: 'agents', requestsPerMinute: null, tokens: null, usd: null };
  assert.equal(sessionText({ ...none, requestsPerMinute: 10, usd: 2 }), 'per session: 10 req/min, $2.00');
  assert.equal(sessionText({ ...none, tokens: 5_000 }), 'per session: 5.0k tok');
});
