import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeRates } from '../../core/price.ts';
import { parseConfig, type ParseOptions } from './parse-config.ts';
import { policySettings } from './policy-schema.ts';
import type { Config } from './config.ts';

function read(input: unknown, options: Partial<ParseOptions> = {}): Config {
  const result = parseConfig(input, { source: 'file', directory: '/srv/app', ...options });
  assert.ok(result.ok, result.ok ? '' : result.faults.map((fault) => fault.message).join('\n'));
  return result.config;
}

const backup = { baseUrl: 'http://127.0.0.1:9001/v1', apiKey: 'sk-test' };

test('an empty config has the documented defaults', () => {
  for (const input of [{}, null, undefined, { policy: {}, server: {} }]) {
    const config = read(input);
    assert.deepEqual(config.policy, policySettings.defaults);
    assert.deepEqual(config.policy.timeouts, { connect: 3000, headers: 'auto', firstContent: 'auto', idle: 120_000, attempt: 600_000 });
    assert.deepEqual(config.server, {
      host: '127.0.0.1',
      port: 4747,
      socket: '',
      socketMode: '0660',
      tls: { cert: '', key: '' },
      maxBodySize: 64 * 1024 ** 2,
      maxBufferedBytes: 512 * 1024 ** 2,
      maxCacheBytes: 64 * 1024 ** 2,
      drainTimeout: 30_000,
      drainHeaders: {},
      adminKey: '',
      allowAnonymous: false,
      cors: { origins: [] },
      passThrough: [],
      listener: 'sockets',
      httpClient: 'sockets',
    });
    assert.deepEqual(config.store, { kind: 'sqlite', path: '/srv/app/breakwater.db' });
    assert.equal(config.telemetry.metrics, true);
  }
});

test('explicit defaults are accepted, including those of unavailable settings', () => {
  const config = read({
    policy: {
      deadline: '10m',
      hedge: { enabled: false, delay: 'p95', budget: 0.05 },
      stream: { keepAlive: '25s', maxEventSize: '16mb', recover: 'off' },
      quality: { rejectTruncated: false, rejectRefusal: false, minLength: 0, mustMatch: [], mustNotMatch: [], buffer: false },
      cache: { enabled: false, ttl: '1h', staleIfError: '24h', coalesce: true },
    },
    telemetry: { requests: { file: '', bodies: false }, traces: { endpoint: '' } },
  });
  assert.deepEqual(config.policy, policySettings.defaults);
});

test('a known provider needs only a name and a key', () => {
  const { openai } = read({ providers: { openai: { apiKey: 'sk-1' } } }).providers;
  assert.equal(openai?.baseUrl, 'https://api.openai.com/v1');
  assert.equal(openai?.protocol, 'openai');
  assert.equal(openai?.preset, 'openai');
  assert.deepEqual(openai?.apiKeys, ['sk-1']);
  assert.equal(openai?.countsOutput, true);
});

test('a preset can be used under any name', () => {
  const { fast } = read({ providers: { fast: { preset: 'groq', apiKeys: ['a', 'b'] } } }).providers;
  assert.equal(fast?.baseUrl, 'https://api.groq.com/openai/v1');
  assert.deepEqual(fast?.apiKeys, ['a', 'b']);
  assert.equal(fast?.rateLimitHeaders, 'groq');
});

test("a known provider's key is taken from the environment, but never sent to another address", () => {
  const env = { OPENAI_API_KEY: 'sk-env\n' };
  assert.deepEqual(read({ providers: { openai: {} } }, { env }).providers['openai']?.apiKeys, ['sk-env']);
  assert.deepEqual(read({ providers: { openai: { baseUrl: 'http://other/v1' } } }, { env }).providers['openai']?.apiKeys, []);
});

test('a provider without a preset has conservative defaults', () => {
  const config = read({ providers: { backup: { ...backup, baseUrl: 'http://127.0.0.1:9001/v1/' } } });
  const provider = config.providers['backup'];
  assert.equal(provider?.baseUrl, 'http://127.0.0.1:9001/v1');
  assert.equal(provider?.protocol, 'openai');
  assert.equal(provider?.countsOutput, true);
  assert.equal(provider?.local, false);
  assert.deepEqual(provider?.limits, { burst: 1, window: 'bucket' });
});

test("caller means the caller's own credential", () => {
  assert.equal(read({ providers: { openai: { apiKey: 'caller' } } }).providers['openai']?.apiKeys, 'caller');
});

test('only the given limits are set', () => {
  const provider = read({
    providers: {
      backup: {
        ...backup,
        limits: { requestsPerMinute: 600, tokensPerMinute: '200000', concurrency: 64, burst: 0.5, window: 'sliding' },
        models: { big: { limits: { requestsPerMinute: 60 } } },
      },
    },
  }).providers['backup'];
  assert.deepEqual(provider?.limits, { requestsPerMinute: 600, tokensPerMinute: 200_000, concurrency: 64, burst: 0.5, window: 'sliding' });
  assert.deepEqual(provider?.models['big']?.limits, { requestsPerMinute: 60, burst: 1, window: 'bucket' });
});

test('a provider with per-second enforcement has a burst of a sixtieth, unless configured', () => {
  assert.equal(read({ providers: { together: { apiKey: 'k' } } }).providers['together']?.limits.burst, 1 / 60);
  assert.equal(read({ providers: { together: { apiKey: 'k', limits: { burst: 1 } } } }).providers['together']?.limits.burst, 1);
});

test('header names are lower case', () => {
  assert.deepEqual(
    { ...read({ providers: { backup: { ...backup, headers: { 'X-Team': 'a' } } } }).providers['backup']?.headers },
    { 'x-team': 'a' },
  );
});

test('targets may have the short or the long form', () => {
  const { models } = read({
    providers: { backup, openai: { apiKey: 'k' } },
    models: {
      fast: ['openai/gpt-4o-mini', 'backup/org/model'],
      smart: {
        targets: [
          [{ target: 'openai/gpt-5', weight: 3 }, 'backup/big'],
          { target: 'backup/small', set: { temperature: 1, stop: null }, drop: ['logit_bias'], equivalent: true, prefill: true },
        ],
        patience: '2s',
        policy: { deadline: '20s' },
        timeouts: { idle: '15s' },
      },
    },
  });
  const plain = { weight: 1, drop: [], equivalent: false, prefill: false };
  const tiers = (name: string) => models[name]?.tiers.map((tier) => tier.map((target) => ({ ...target, set: { ...target.set } })));
  assert.deepEqual(tiers('fast'), [
    [{ ...plain, provider: 'openai', model: 'gpt-4o-mini', set: {} }],
    [{ ...plain, provider: 'backup', model: 'org/model', set: {} }],
  ]);
  assert.deepEqual(tiers('smart'), [
    [
      { ...plain, provider: 'openai', model: 'gpt-5', weight: 3, set: {} },
      { ...plain, provider: 'backup', model: 'big', set: {} },
    ],
    [
      {
        provider: 'backup',
        model: 'small',
        weight: 1,
        set: { temperature: 1, stop: null },
        drop: ['logit_bias'],
        equivalent: true,
        prefill: true,
      },
    ],
  ]);
  assert.equal(models['fast']?.patience, 1000);
  assert.equal(models['smart']?.patience, 2000);
  assert.deepEqual(models['smart']?.policy, { timeouts: { idle: 15_000 }, deadline: 20_000 });
});

test('policy blocks may be set directly or under policy', () => {
  const provider = read({
    providers: { backup: { ...backup, timeouts: { connect: '2s' }, maxAttempts: 2, policy: { retry: { budget: { ratio: 0 } } } } },
  }).providers['backup'];
  assert.deepEqual(provider?.policy, { timeouts: { connect: 2000 }, maxAttempts: 2, retry: { budget: { ratio: 0 } } });
});

test('numbers, booleans and durations from the environment are parsed from text', () => {
  const config = read(
    {
      server: { port: '${PORT}', allowAnonymous: '${OPEN}' },
      policy: { maxAttempts: '${TRIES:-3}', deadline: '${WAIT}', timeouts: { idle: '1500ms' } },
    },
    { env: { PORT: '8080', OPEN: 'true', WAIT: '90s' } },
  );
  assert.equal(config.server.port, 8080);
  assert.equal(config.server.allowAnonymous, true);
  assert.equal(config.policy.maxAttempts, 3);
  assert.equal(config.policy.deadline, 90_000);
  assert.equal(config.policy.timeouts.idle, 1500);
});

test('clients may be a map from name to settings', () => {
  const list = read({
    clients: [
      { name: 'web', key: 'web-key-1234', priority: 'high' },
      { name: 'nightly', key: 'nightly-key-1' },
    ],
  });
  const map = read({ clients: { web: { key: 'web-key-1234', priority: 'high' }, nightly: { key: 'nightly-key-1' } } });
  assert.deepEqual(map.clients, list.clients);
});

test('a key without a value counts as unset', () => {
  const config = read({
    server: null,
    policy: { timeouts: null, retry: { baseDelay: null } },
    providers: { backup: { ...backup, limits: null } },
  });
  assert.deepEqual(config.policy, policySettings.defaults);
});

test('clients have the hash of their key and default rights', () => {
  const hash = 'ABCDEF0123456789'.repeat(4);
  const [web, nightly] = read({
    clients: [
      { name: 'web', key: 'secret', priority: 'high', models: ['fast', 'claude-*'], limits: { requestsPerMinute: 300 } },
      { name: 'nightly', keyHash: `sha256:${hash}`, priority: 'low', maxPriority: 'normal' },
    ],
  }).clients;
  assert.equal(web?.keyHash, 'sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b');
  assert.equal(web?.maxPriority, 'high');
  assert.deepEqual(web?.models, ['fast', 'claude-*']);
  assert.deepEqual(nightly, {
    name: 'nightly',
    key: null,
    keyHash: `sha256:${hash.toLowerCase()}`,
    priority: 'low',
    maxPriority: 'normal',
    models: null,
    limits: { burst: 1, window: 'bucket' },
    budget: null,
    sessionLimits: null,
  });
});

test('missing prices have defaults', () => {
  const { prices } = read({ prices: { 'backup/big': { input: 2.5, cachedInput: 1.25, output: 10 }, embedder: { input: 0.1 } } });
  const none = { above: [], tiers: {} };
  assert.deepEqual(prices['backup/big'], { ...completeRates({ input: 2.5, cachedInput: 1.25, output: 10 }), ...none });
  assert.deepEqual(prices['embedder'], { ...completeRates({ input: 0.1 }), ...none });
});

test('the default store is sqlite with a config file and memory otherwise', () => {
  assert.deepEqual(read({}, { source: 'library' }).store, { kind: 'memory' });
  assert.deepEqual(read({}, { source: 'environment' }).store, { kind: 'memory' });
  assert.deepEqual(read({ store: 'memory:' }).store, { kind: 'memory' });
  assert.deepEqual(read({ store: 'sqlite:data/x.db' }).store, { kind: 'sqlite', path: '/srv/app/data/x.db' });
  assert.deepEqual(read({ telemetry: { requests: { file: 'log.jsonl' } } }).telemetry.requests, {
    file: '/srv/app/log.jsonl',
    bodies: false,
  });
});

test('BREAKWATER_* apply only to settings that the file does not set', () => {
  const env = { BREAKWATER_HOST: '0.0.0.0', BREAKWATER_PORT: '80', BREAKWATER_KEY: 'sk-client', BREAKWATER_ADMIN_KEY: 'sk-admin' };
  const unset = read({ server: { adminKey: '${ADMIN_KEY:-}' } }, { env });
  assert.equal(unset.server.host, '0.0.0.0');
  assert.equal(unset.server.port, 80);
  assert.equal(unset.server.adminKey, 'sk-admin');
  assert.equal(unset.clients[0]?.name, 'default');
  assert.equal(unset.clients[0]?.key, 'sk-client');

  const given = read({ server: { host: '::1', port: 1, adminKey: 'mine' }, clients: [{ name: 'a', key: 'b' }] }, { env });
  assert.deepEqual([given.server.host, given.server.port, given.server.adminKey, given.clients.length], ['::1', 1, 'mine', 1]);

  const library = read({}, { env, source: 'library' });
  assert.deepEqual([library.server.host, library.clients.length], ['127.0.0.1', 0]);

  const ofService = read({}, { env: { BREAKWATER_PORT: 'tcp://10.96.0.7:4747' } });
  assert.equal(ofService.server.port, 4747, 'set by Kubernetes for a service named breakwater');
});

test('the command line takes precedence over file and environment', () => {
  const config = read(
    { server: { port: 1, host: '::1' }, telemetry: { logs: { prompts: false } } },
    { env: { BREAKWATER_PORT: '2' }, overrides: { host: 'localhost', port: '3', logLevel: 'debug' } },
  );
  assert.deepEqual([config.server.host, config.server.port], ['localhost', 3]);
  assert.deepEqual(config.telemetry.logs, { level: 'debug', prompts: false });
});

test('${NAME} is replaced in a file, not in the library', () => {
  const input = { providers: { backup: { ...backup, headers: { 'x-a': '${HOME_TEAM}' } } } };
  const env = { HOME_TEAM: 'blue' };
  assert.equal(read(input, { env }).providers['backup']?.headers['x-a'], 'blue');
  assert.equal(read(input, { env, source: 'library' }).providers['backup']?.headers['x-a'], '${HOME_TEAM}');
});

test('a config is frozen, and the input is not modified', () => {
  const input = { policy: { timeouts: null }, providers: { backup: { ...backup } } };
  const config = read(input, { source: 'library' });
  assert.throws(() => Object.assign(config.policy.timeouts, { idle: 1 }), TypeError);
  assert.deepEqual(input, { policy: { timeouts: null }, providers: { backup } });
});

test('names of built-in properties are not names in the config', () => {
  const config = read({ providers: { backup }, models: { a: ['backup/a'] } });
  for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
    assert.equal(config.models[name], undefined);
    assert.equal(config.providers[name], undefined);
  }
});

test('a non-loopback address may be bound with a client key or allowAnonymous', () => {
  read({ server: { host: '0.0.0.0' }, clients: [{ name: 'a', key: 'k' }] });
  read({ server: { host: '0.0.0.0', allowAnonymous: true } });
  for (const host of ['127.0.0.1', '127.8.8.8', '::1', '[::1]', 'localhost']) read({ server: { host } });
});
