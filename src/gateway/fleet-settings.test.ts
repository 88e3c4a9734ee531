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

test('long routes that differ only at their end differ, and are shown to 200 characters', () => {
  const route = (last: string): string => {
    const names = [...Array.from({ length: 40 }, (_, i) => `model-${i}`), last];
    const parsed = parseConfig(
      { providers: { p: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'k' } }, models: { fast: names.map((name) => `p/${name}`) } },
      { source: 'library' },
    );
    assert.ok(parsed.ok, JSON.stringify(parsed));
    return fleetSettings(parsed.config)['route fast']!;
  };
  const [one, other] = [route('a'), route('b')];
  assert.notEqual(one, other);
  assert.equal(one, route('a'));
  assert.ok(one.length <= 200 && one.startsWith('p/model-0, p/model-1, '), one);
});
