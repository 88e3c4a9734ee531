import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import type { EngineConfig } from './config.ts';
import { effectiveConfig } from './effective.ts';
import { parseConfig } from './parse-config.ts';

const directory = resolve('/srv/config');

function parse(providers: object, more: object = {}) {
  return parseConfig({ providers, ...more }, { source: 'library', directory });
}

function engineOf(provider: object): EngineConfig {
  const result = parse({ offline: provider });
  assert.ok(result.ok, JSON.stringify(result));
  return result.config.providers['offline']!.engine!;
}

function faultsOf(provider: object, name = 'offline'): string[] {
  const result = parse({ [name]: provider });
  return result.ok ? [] : result.faults.map(({ message }) => message);
}

test('weights are resolved from the folder of the config, and only a configured hub model is downloaded', () => {
  const { models, cacheDir } = engineOf({
    protocol: 'local',
    engine: 'transformers',
    models: { a: { weights: './weights/a' }, b: { hub: 'owner/b', task: 'summarization' } },
  });
  assert.equal(models['a']?.weights, resolve(directory, 'weights/a'));
  assert.equal(models['a'].task, 'text-generation');
  assert.deepEqual([models['b']?.hub, models['b']?.mayDownload, models['b']?.task], ['owner/b', true, 'summarization']);
  assert.deepEqual([models['summarize']?.task, models['summarize']?.mayDownload], ['summarization', false]);
  assert.equal(cacheDir, resolve(directory, 'models'));
});

test('a local provider has an engine and no address, and runs one call at a time', () => {
  const result = parse({ offline: { protocol: 'local', engine: 'extract' } });
  assert.ok(result.ok);
  assert.equal(result.config.providers['offline']?.limits.concurrency, 1);
  assert.deepEqual(faultsOf({ protocol: 'local' }), ['providers.offline.engine: is missing; set transformers, llama or extract']);
  assert.deepEqual(faultsOf({ protocol: 'local', engine: 'extract', apiKey: 'k' }), [
    'providers.offline.apiKey: has no effect with protocol local, which sends no requests',
  ]);
});

test('settings for local models are refused for other providers, and unsupported ones for each engine', () => {
  const x = { baseUrl: 'http://127.0.0.1:1/v1' };
  assert.match(faultsOf({ ...x, engine: 'llama' })[0]!, /^providers\.offline\.engine: is for protocol local only/);
  assert.match(
    faultsOf({ ...x, models: { m: { weights: 'w' } } })[0]!,
    /^providers\.offline\.models\.m\.weights: is for protocol local only/,
  );
  const local = { protocol: 'local' };
  assert.match(faultsOf({ ...local, engine: 'extract', models: { other: {} } })[0]!, /its only model is extract/);
  assert.match(faultsOf({ ...local, engine: 'llama', models: { m: {} } })[0]!, /models\.m\.weights: is missing/);
  assert.match(
    faultsOf({ ...local, engine: 'llama', models: { m: { weights: 'm.gguf', dtype: 'q8' } } })[0]!,
    /dtype: is for engine transformers/,
  );
  assert.match(
    faultsOf({ ...local, engine: 'transformers', models: { m: { weights: 'w', hub: 'h' } } })[0]!,
    /hub: must not be combined with weights/,
  );
});

test('the built-in provider local needs no config, and a configured server named local replaces it', () => {
  const x = { baseUrl: 'http://127.0.0.1:1/v1' };
  const named = parse({ x }, { models: { fast: ['x/a', 'local/extract'] } });
  assert.ok(named.ok);
  assert.deepEqual(Object.keys(named.config.providers), ['x', 'local']);
  const own = parse({ local: x }, { models: { fast: ['local/a'] } });
  assert.ok(own.ok);
  assert.equal(own.config.providers['local']?.protocol, 'openai');
  const listed = parse({ local: {} });
  assert.ok(listed.ok);
  assert.equal(listed.config.providers['local']?.engine?.name, 'extract');
});

test('the effective config of an engine is an equivalent config', () => {
  const written = {
    local: {},
    offline: { protocol: 'local', engine: 'transformers', threads: 2, models: { a: { weights: '/w', dtype: 'fp32' }, b: { hub: 'o/b' } } },
    gguf: { protocol: 'local', engine: 'llama', warm: true, models: { chat: { weights: 'm.gguf', contextSize: 2048 } } },
  };
  const first = parse(written);
  assert.ok(first.ok);
  const shown = effectiveConfig(first.config) as { providers: object };
  const again = parse(shown.providers);
  assert.ok(again.ok, JSON.stringify(again));
  assert.deepEqual(again.config.providers, first.config.providers);
});
