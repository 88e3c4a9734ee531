import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SESSION_HEADERS, sessionKeyOf } from './session-headers.ts';

const request = (headers: Record<string, string> = {}) => ({ header: (name: string) => headers[name] });

test("a request is identified by its agent's session header", () => {
  for (const name of SESSION_HEADERS) assert.equal(sessionKeyOf(request({ [name]: 's-1' }), null), 's-1', name);
});

test('a header takes precedence over the key in the body, an empty one does not count', () => {
  assert.equal(sessionKeyOf(request({ session_id: 's-1' }), 'cache'), 's-1');
  assert.equal(sessionKeyOf(request({ session_id: '' }), 'cache'), 'cache');
  assert.equal(sessionKeyOf(request(), 'cache'), 'cache');
  assert.equal(sessionKeyOf(request({ 'x-user': 'u' }), null), null);
});

test('keys with the same first 256 characters are equal', () => {
  const long = 'k'.repeat(100_000);
  assert.equal(sessionKeyOf(request(), long)!.length, 256);
  assert.equal(sessionKeyOf(request({ 'session-id': long }), null)!.length, 256);
});

test('the documentation names every header of the list', () => {
  const page = readFileSync(new URL('../../docs/credentials.md', import.meta.url), 'utf8');
  for (const name of SESSION_HEADERS) assert.ok(page.includes(`\`${name}\``), name);
});
