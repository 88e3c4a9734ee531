import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effectiveConfig } from './effective.ts';
import { parseConfig } from './parse-config.ts';
import type { ConfigInput } from './config-input.ts';

const env = {
  KEY: 'sk-from-the-environment',
  TENANT: 'tenant-4711-xyz',
  UPSTREAM: 'http://127.0.0.1:9/v1',
  MODEL: 'gpt-4o-mini',
  PATH_PART: 'p4th-5ecret-value',
  BIND: '127.0.0.1',
  WHO: 'everybody',
  PROXY: 'https://me:pass%2Fword-1@h/v1?api_key=hidden-key-1',
};

function read(more: Partial<ConfigInput>, provider: object = {}) {
  const providers = { a: { baseUrl: '${UPSTREAM}', apiKey: '${KEY}', ...provider } };
  const result = parseConfig({ providers, models: { fast: ['a/${MODEL}'] }, ...more }, { env, source: 'file' });
  assert.ok(result.ok, JSON.stringify(result));
  return result.config;
}

test('keys of providers, clients and the operator, and configured headers, are secrets', () => {
  const { secrets } = read(
    { server: { adminKey: 'admin-key-00001' }, clients: [{ name: 'web', key: 'web-key-00001' }] },
    {
      headers: {
        'x-team': 'team-blue-77',
        'x-api-token': 'onlyletterstoken',
        authorization: 'Bearer other-token-1',
        'x-b': 'Basic dXNlcjpwYXNzd29yZC05OQ==',
      },
    },
  );
  assert.deepEqual(
    [...secrets].toSorted(),
    [
      'admin-key-00001',
      'dXNlcjpwYXNzd29yZC05OQ==',
      'onlyletterstoken',
      'other-token-1',
      'password-99',
      'sk-from-the-environment',
      'team-blue-77',
      'web-key-00001',
    ].toSorted(),
  );
});

test('short, trivial and public values are not secrets', () => {
  const headers = {
    'x-debug': 'true',
    'x-version': '2024-10-21',
    'x-number': '1234567890',
    'x-short': 'abc1234',
    'x-word': 'research',
    'x-url': 'https://example.com/path',
    'user-agent': 'my application 1.0',
    'http-referer': 'https://example.com',
    'anthropic-version': '2023-06-01',
    accept: 'application/json',
  };
  assert.deepEqual(read({}, { headers, apiKey: 'not-needed' }).secrets, []);
});

test('a variable is secret by name or in a setting that is sent; addresses and model names are not', () => {
  const models: ConfigInput['models'] = { fast: [{ target: 'a/${MODEL}', set: { user: '${TENANT}', who: '${WHO}' } }] };
  const { secrets } = read({ models, server: { host: '${BIND}' } }, { baseUrl: '${UPSTREAM}/${PATH_PART}' });
  assert.deepEqual([...secrets].toSorted(), ['p4th-5ecret-value', 'sk-from-the-environment', 'tenant-4711-xyz']);
});

test('the password of an address is a secret, the address is not', () => {
  const models: ConfigInput['models'] = { fast: [{ target: 'a/m', set: { user: '${PROXY}' } }] };
  const { secrets } = read({ models }, { apiKey: 'short' });
  assert.deepEqual([...secrets].toSorted(), ['hidden-key-1', 'pass%2Fword-1', 'pass/word-1']);
});

test('the effective config masks secrets in every setting', () => {
  const models: ConfigInput['models'] = { fast: [{ target: 'a/m', set: { user: '${TENANT}' } }] };
  const text = JSON.stringify(effectiveConfig(read({ models }, { headers: { 'x-team': 'team-blue-77' } })));
  assert.doesNotMatch(text, /tenant-4711|team-blue-77|from-the-env/);
  assert.match(text, /127\.0\.0\.1:9\/v1/);
});
