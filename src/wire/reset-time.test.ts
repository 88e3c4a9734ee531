import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resetFromError, resetFromText } from './reset-time.ts';

const AT = Date.UTC(2025, 2, 7);

test('an instant is read in seconds, milliseconds and ISO form, wherever it is in an error', () => {
  for (const value of [AT, AT / 1000, String(AT), String(AT / 1000), '2025-03-07T00:00:00Z']) {
    for (const name of ['X-RateLimit-Reset', 'x-ratelimit-reset', 'resets_at', 'reset_at', 'resetTime']) {
      assert.equal(resetFromError({ [name]: value }), AT, `${name} ${value}`);
      assert.equal(resetFromError({ error: { metadata: { headers: { [name]: value } } } }), AT, `nested ${name} ${value}`);
    }
  }
});

test('a wait in seconds, invalid values and deeper nesting are ignored', () => {
  for (const value of [0, 30, '30', -1, 1e300, 'tomorrow', null, true, {}, '2025-99-99T00:00:00Z']) {
    assert.equal(resetFromError({ resets_at: value }), null, String(value));
  }
  assert.equal(resetFromError({ error: { error: { error: { error: { resets_at: AT } } } } }), null);
});

test('a date in a message is read in UTC', () => {
  assert.equal(resetFromText('You will regain access on 2025-03-07 at 00:00 UTC.'), AT);
  assert.equal(resetFromText('Your quota resets on 2025-03-07.'), AT);
  assert.equal(resetFromText('try again after 2025-03-07T06:30:00Z'), AT + 6.5 * 3_600_000);
  assert.equal(resetFromText('the model of 2025-03-07 is busy'), null);
});
