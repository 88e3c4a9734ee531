import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from './config.ts';
import { effectiveConfig } from './effective.ts';
import { maskSecret } from './mask.ts';
import { parseConfig } from './parse-config.ts';

function read(input: unknown): Config {
  const result = parseConfig(input, { source: 'file', directory: '/srv' });
  assert.ok(result.ok, JSON.stringify(result));
  return result.config;
}

const full = {
  server: { adminKey: 'admin-secret-12345', passThrough: [{ path: '/v1/x', provider: 'backup' }] },
  providers: {
    openai: { apiKeys: ['sk-first-secret-aaaa', 'short'] },
    together: { apiKey: 'together-secret-bbbb' },
    own: { preset: 'openai', apiKey: 'caller', baseUrl: 'http://h/v1' },
    backup: {
      baseUrl: 'http://127.0.0.1:9001/v1',
      headers: {
        'x-team': 'blue',
        'x-auth-token': 'header-secret-cccc',
        authorization: 'Bearer header-secret-dddd',
        'x-fwd': 'Basic secret-eeee-ffff',
      },
      limits: { requestsPerMinute: 600, burst: 0.5 },
      models: { big: { limits: { concurrency: 2 } } },
      timeouts: { connect: '1500ms' },
      stream: { maxEventSize: '1mb' },
    },
  },
  models: {
    a: { targets: [['openai/gpt-5', { target: 'backup/big', weight: 2 }], { target: 'backup/b', set: { stop: null } }], patience: '3s' },
    'x-*': ['backup/*'],
  },
  policy: { queue: { maxWait: '1m' }, hedge: { delay: '500ms' } },
  clients: [
    { name: 'web', key: 'client-secret-gggg', models: ['a'], priority: 'high' },
    { name: 'job', keyHash: `sha256:${'ab'.repeat(32)}` },
  ],
  prices: { 'backup/big': { input: 1 } },
  telemetry: { logs: { level: 'warn' } },
};

test('the effective config shows at most the last four characters of a secret', () => {
  const text = JSON.stringify(effectiveConfig(read(full)));
  assert.doesNotMatch(text, /secret/);
  assert.doesNotMatch(text, /short/);
  for (const end of ['2345', 'aaaa', 'bbbb', 'cccc', 'dddd', 'ffff', 'gggg']) assert.ok(text.includes(`****${end}`), end);
  assert.ok(text.includes(`sha256:${'ab'.repeat(32)}`));
  assert.ok(text.includes('"x-team":"blue"'));
});

test('users and passwords in URLs are masked', () => {
  const config = read({});
  const shown = effectiveConfig({
    ...config,
    store: { kind: 'redis', url: 'rediss://user:secret@h:6379/0?password=hidden&db=1' },
    telemetry: { ...config.telemetry, traces: { endpoint: 'https://me:secret@h/v1?api_key=hidden', sample: 1, maxPerSecond: 1_000 } },
  });
  assert.equal(shown['store'], 'rediss://****@h:6379/0?password=****&db=1');
  assert.deepEqual((shown['telemetry'] as Config['telemetry']).traces, {
    endpoint: 'https://****@h/v1?api_key=****',
    sample: 1,
    maxPerSecond: 1_000,
  });
});

test('defaults are included, with units', () => {
  const shown = effectiveConfig(read({})) as Record<string, Record<string, Record<string, unknown>>>;
  assert.deepEqual(shown['policy']?.['timeouts'], { connect: '3s', headers: 'auto', firstContent: 'auto', idle: '2m', attempt: '10m' });
  assert.equal(shown['policy']?.['stream']?.['maxEventSize'], '16mb');
  assert.equal(shown['server']?.['maxBodySize'], '64mb');
  assert.equal(shown['store'], 'sqlite:/srv/breakwater.db');
});

test('except for masks, the effective config is an equivalent config', () => {
  const unmask = (text: string) => text.replaceAll('****', 'mask-');
  const config = read(full);
  const again = read(JSON.parse(unmask(JSON.stringify(effectiveConfig(config)))));
  const bare = ({ providers, clients, server, secrets, ...rest }: Config) => ({
    ...rest,
    secrets: secrets.length,
    server: { ...server, adminKey: '' },
    clients: clients.map((client) => ({ ...client, key: '', keyHash: '' })),
    providers: Object.values(providers).map((provider) => ({
      ...provider,
      apiKeys: provider.apiKeys.length,
      headers: Object.keys(provider.headers),
    })),
  });
  assert.deepEqual(bare(again), bare(config));
});

test('a short secret is masked completely', () => {
  assert.equal(maskSecret('elevenchars'), '****');
  assert.equal(maskSecret('twelve-chars'), '****hars');
  assert.equal(maskSecret(''), '****');
});
