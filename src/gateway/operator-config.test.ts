import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from './config/index.ts';
import { onlyTargetsOf, sessionLimitsOf } from './operator-config.ts';

function configOf() {
  const parsed = parseConfig(
    {
      providers: { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'key-12345678' } },
      models: { both: ['a/m', 'a/n'], fast: ['a/m'], quick: ['a/m'] },
      clients: [
        { name: 'agents', key: 'agents-key-1', sessionLimits: { requestsPerMinute: 10, usd: 2 } },
        { name: 'web', key: 'web-key-1234' },
      ],
    },
    { source: 'library' },
  );
  assert.ok(parsed.ok);
  return parsed.config;
}

test('a target is named with the models that it alone serves', () => {
  assert.deepEqual(onlyTargetsOf(configOf()), [{ target: 'a/m', models: ['fast', 'quick'] }]);
});

test('limits of sessions are listed for the clients that have them', () => {
  assert.deepEqual(sessionLimitsOf(configOf().clients), [{ client: 'agents', requestsPerMinute: 10, tokens: null, usd: 2 }]);
});

test('both are computed once per configuration', () => {
  const config = configOf();
  assert.equal(onlyTargetsOf(config), onlyTargetsOf(config));
  assert.equal(sessionLimitsOf(config.clients), sessionLimitsOf(config.clients));
  assert.notEqual(onlyTargetsOf(configOf()), onlyTargetsOf(config));
});
