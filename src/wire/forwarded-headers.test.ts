import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forwardingFault } from './forwarded-headers.ts';

const ALLOWED = [
  'x-team',
  'http-referer',
  'x-title',
  'x-grok-conv-id',
  'x-prompt-cache-isolation-key',
  'x-max-tokens',
  'openai-beta',
  'x-author',
];
for (const name of ALLOWED) test(`${name} may be forwarded`, () => assert.equal(forwardingFault(name, false), null));

const REFUSED: readonly (readonly [RegExp, string])[] = [
  [/credential/, 'authorization x-authorization x-api-key api-key x-goog-api-key cookie set-cookie x-auth-token x-amz-security-token'],
  [/credential/, 'cf-access-client-secret ocp-apim-subscription-key x-functions-key x-jwt x-access-token x-litellm-api-key'],
  [/hop-by-hop/, 'connection keep-alive transfer-encoding te trailer upgrade proxy-connection proxy-anything'],
  [/Breakwater sets itself/, 'host content-length content-type content-encoding accept-encoding expect user-agent'],
  [/origin of a request/, 'forwarded x-forwarded-for x-forwarded-host x-real-ip'],
  [/meant for Breakwater/, 'x-breakwater-priority idempotency-key'],
  [/belongs to an account/, 'openai-organization openai-project'],
];
for (const [why, names] of REFUSED) {
  for (const name of names.split(' ')) test(`${name} is refused`, () => assert.match(forwardingFault(name, false) ?? '', why));
}

test('an invalid header name is refused', () => {
  for (const name of ['', 'x y', 'x:y', 'ü', 'a\nb', 'x'.repeat(101)])
    assert.match(forwardingFault(name, false) ?? '', /not a valid header name/);
});

test("account headers may be forwarded with the caller's own credential", () =>
  assert.equal(forwardingFault('openai-project', true), null));
