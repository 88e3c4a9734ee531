import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig, type ConfigInput } from './config/index.ts';
import { FormerConfigs } from './former-configs.ts';

const day = 86_400_000;
const providers = { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-key-of-a-1' } };
const client = (name: string) => ({ name, key: `key-of-${name}-1234` });

function setUp() {
  let now = 0;
  const former = new FormerConfigs(() => now);
  const current = configOf({ clients: [client('current')] });
  const replace = (input: ConfigInput, next = current) => former.add(configOf(input), next);
  const clientOf = (credential: string | null, isLocal = false) => former.clientOf(credential, isLocal);
  return { former, clientOf, wait: (ms: number) => (now += ms), replace };
}

function configOf(input: ConfigInput) {
  const parsed = parseConfig({ providers, ...input }, { source: 'library' });
  assert.ok(parsed.ok);
  return parsed.config;
}

test('a key that a reload has removed is known for a day', () => {
  const { clientOf, replace, wait } = setUp();
  assert.equal(clientOf('key-of-web-1234'), null);
  replace({ clients: [client('web')] });
  assert.equal(clientOf('key-of-web-1234'), 'web');
  assert.equal(clientOf('key-of-web-1235'), null);
  assert.equal(clientOf(null, true), null);
  wait(day);
  assert.equal(clientOf('key-of-web-1234'), null);
});

test('where no key was required, local callers were accepted, others only if any caller was allowed', () => {
  const { clientOf, replace } = setUp();
  replace({});
  assert.deepEqual([clientOf(null, true), clientOf('any-key', true)], ['anonymous', 'anonymous']);
  assert.deepEqual([clientOf(null), clientOf('any-key')], [null, null]);
  replace({ server: { allowAnonymous: true } });
  assert.deepEqual([clientOf(null), clientOf('any-key')], ['anonymous', 'anonymous']);
});

test('a model that a reload has removed is known, patterns and targets included', () => {
  const { former, replace } = setUp();
  replace({ models: { fast: ['a/m'], 'old-*': ['a/*'] } });
  assert.deepEqual(
    ['fast', 'old-one', 'a/any', 'other', 'constructor'].map((model) => former.hadModel(model)),
    [true, true, true, false, false],
  );
});

test('the last configurations are kept, and no more', () => {
  const { clientOf, replace } = setUp();
  for (let i = 0; i < 20; i++) replace({ clients: [client(`client-${i}`)] });
  assert.equal(clientOf('key-of-client-19-1234'), 'client-19');
  assert.equal(clientOf('key-of-client-12-1234'), 'client-12');
  assert.equal(clientOf('key-of-client-11-1234'), null);
});

test('a reload of the same clients, models and providers takes no place, nor does a change to and fro', () => {
  const { clientOf, replace } = setUp();
  replace({ clients: [client('web')] });
  const same = { clients: [client('app')], models: { fast: ['a/m'] } };
  for (let i = 0; i < 20; i++) replace(same, configOf({ ...same, policy: { deadline: `${i + 10}s` } }));
  assert.equal(clientOf('key-of-app-1234'), null);
  for (let i = 0; i < 20; i++) replace({ clients: [client(`shift-${i % 2}`)] });
  assert.equal(clientOf('key-of-web-1234'), 'web');
});

test('neither keys nor addresses of a replaced configuration stay in memory', () => {
  const config = configOf({ clients: [client('web')] });
  const read = new Set<string>();
  const providers = new Proxy(config.providers['a']!, {
    get: (provider, name, receiver) => (read.add(String(name)), Reflect.get(provider, name, receiver) as unknown),
  });
  new FormerConfigs(() => 0).add({ ...config, providers: { a: providers } }, configOf({}));
  assert.deepEqual([...read].toSorted(), ['models', 'name', 'prefill', 'preset']);
});
