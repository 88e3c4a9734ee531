import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BreakwaterError } from '../core/errors.ts';
import { parseConfig, type ConfigInput } from './config/index.ts';
import { FormerConfigs } from './former-configs.ts';

const day = 86_400_000;
const providers = { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-key-of-a-1' } };
const notFound = new BreakwaterError('model_not_found', 'unknown model');

function setUp() {
  let now = 0;
  const former = new FormerConfigs(() => now);
  return { former, wait: (ms: number) => (now += ms), add: (input: ConfigInput) => former.add(configOf(input)) };
}

function configOf(input: ConfigInput) {
  const parsed = parseConfig({ providers, ...input }, { source: 'library' });
  assert.ok(parsed.ok);
  return parsed.config;
}

test('a key that a reload has removed is known for a day', () => {
  const { former, add, wait } = setUp();
  assert.equal(former.clientOf('web-key-1234'), null);
  add({ clients: [{ name: 'web', key: 'web-key-1234' }] });
  assert.equal(former.clientOf('web-key-1234'), 'web');
  assert.equal(former.clientOf('web-key-1235'), null);
  assert.equal(former.clientOf(null), null);
  wait(day);
  assert.equal(former.clientOf('web-key-1234'), null);
});

test('where no key was required, every caller was accepted', () => {
  const { former, add } = setUp();
  add({});
  assert.equal(former.clientOf(null), 'anonymous');
  assert.equal(former.clientOf('any-key'), 'anonymous');
});

test('a model that a reload has removed is known, patterns included', () => {
  const { former, add } = setUp();
  add({ models: { fast: ['a/m'], 'old-*': ['a/*'] } });
  assert.deepEqual(former.factsOf(notFound, 'fast'), { hadModel: true });
  assert.deepEqual(former.factsOf(notFound, 'old-one'), { hadModel: true });
  assert.deepEqual(former.factsOf(notFound, 'other'), {});
  assert.deepEqual(former.factsOf(new BreakwaterError('queue_full', 'full'), 'fast'), {});
});

test('the last configurations are kept, and no more', () => {
  const { former, add } = setUp();
  for (let i = 0; i < 20; i++) add({ clients: [{ name: `client-${i}`, key: `key-of-client-${i}` }] });
  assert.equal(former.clientOf('key-of-client-19'), 'client-19');
  assert.equal(former.clientOf('key-of-client-12'), 'client-12');
  assert.equal(former.clientOf('key-of-client-11'), null);
});
