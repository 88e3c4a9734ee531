import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scanObject } from '../json-scan.ts';
import { decodeMessages } from './decode-request.ts';

function sessionOf(userId: unknown): string | null {
  const bytes = Buffer.from(JSON.stringify({ model: 'm', max_tokens: 1, messages: [], metadata: { user_id: userId } }));
  const decoded = decodeMessages(bytes, scanObject(bytes));
  assert.ok(decoded.ok);
  return decoded.facts.cacheKey;
}

test('metadata.user_id yields a session id if it holds one, not a user id', () => {
  assert.equal(sessionOf('{"device_id":"d","session_id":"s-1"}'), 's-1');
  assert.equal(sessionOf('user_5f3a_account__session_7425c097-d118-4870-a3cb-b456c05b9542'), '7425c097-d118-4870-a3cb-b456c05b9542');
  for (const person of ['alice', '{"name":"alice"}', '{"session_id":', 'user_session_', 7, null]) assert.equal(sessionOf(person), null);
});
