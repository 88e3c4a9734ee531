import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from './config/index.ts';
import { fleetSettings } from './fleet-settings.ts';

test('limits, routes, clients and budgets are settings of the fleet, and digests of keys', () => {
  const parsed = parseConfig(
    {
      providers: {
        p: {
          baseUrl: 'http://127.0.0.1:9/v1',
          apiKey: 'sk-secret',
          limits: { requestsPerMinute: 600 },
          models: { m: { limits: { concurrency: 4 } } },
        },
      },
      models: { fast: ['p/m', 'p/n'] },
      clients: [{ name: 'web', key: 'web-key-1234', limits: { tokensPerMinute: 5 }, budget: { usd: 20, per: 'day' } }],
    },
    { source: 'library' },
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const { 'provider p key': ofProvider, 'client web key': ofClient, ...settings } = fleetSettings(parsed.config);
  assert.match(`${ofProvider} ${ofClient}`, /^[\w-]{12} [\w-]{12}$/);
  assert.deepEqual(settings, {
    'provider p': 'configured',
    'provider p requestsPerMinute': '600',
    'provider p burst': '1',
    'provider p window': 'bucket',
    'model p/m concurrency': '4',
    'route fast': 'p/m, p/n',
    'client web': 'configured',
    'client web tokensPerMinute': '5',
    'client web burst': '1',
    'client web window': 'bucket',
    'client web budget': '20 per day',
  });
});
