import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig, sharedAccounts } from './index.ts';

function warnings(providers: Record<string, object>): string[] {
  const result = parseConfig({ providers, models: { m: [`${Object.keys(providers)[0]}/m`] } }, { source: 'library' });
  assert.ok(result.ok, JSON.stringify(result));
  return sharedAccounts(result.config);
}

const at = (baseUrl: string, keys: object) => ({ protocol: 'openai', baseUrl, ...keys });

test('two providers with the same address and key are reported, without the key', () => {
  const [warning, ...more] = warnings({
    a: at('https://api.example.com/v1', { apiKey: 'sk-very-secret' }),
    b: at('https://API.example.com:443/v1/', { apiKeys: ['sk-other', 'sk-very-secret'] }),
    c: at('https://api.example.com/v1', { apiKey: 'sk-third' }),
  });
  assert.match(warning!, /providers\.a and providers\.b have the same baseUrl and a key in common/);
  assert.doesNotMatch(warning!, /sk-/);
  assert.deepEqual(more, []);
});

test('different addresses, different keys, and keys of callers are not a shared account', () => {
  assert.deepEqual(
    warnings({
      a: at('https://api.example.com/v1', { apiKey: 'sk-1' }),
      b: at('https://api.example.com/v2', { apiKey: 'sk-1' }),
      c: at('https://api.example.com/v1', { apiKey: 'sk-2' }),
      d: at('https://api.example.com/v1', { apiKey: 'caller' }),
      e: at('https://api.example.com/v1', { apiKey: 'caller' }),
    }),
    [],
  );
});

test('a server without a key that is configured twice is reported', () => {
  const found = warnings({ a: at('http://127.0.0.1:9/v1', {}), b: at('http://127.0.0.1:9/v1', {}) });
  assert.match(found.join(), /the same baseUrl and no key/);
});

test('providers with the same identity share an account only if the project is also the same', () => {
  const vertex = (project: string, key: string) => ({
    preset: 'vertex',
    project,
    google: { key: JSON.stringify({ type: 'service_account', client_email: key, private_key: 'p' }) },
  });
  assert.deepEqual(warnings({ a: vertex('p-1', 'x'), b: vertex('p-2', 'x'), c: vertex('p-1', 'y') }), []);
  assert.match(warnings({ a: vertex('p-1', 'x'), b: vertex('p-1', 'x') })[0]!, /the same baseUrl and credentials in common/);
});
