import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configFromEnvironment, type Probe } from './environment.ts';

const nothing: Probe = () => Promise.resolve(null);

test('every known key becomes a provider', async () => {
  const env = { OPENAI_API_KEY: 'sk-o', GROQ_API_KEY: 'gsk', MISTRAL_API_KEY: ' ', UNKNOWN_API_KEY: 'x', CO_API_KEY: 'c' };
  const { result, found, skipped } = await configFromEnvironment(env, nothing);
  assert.ok(result.ok);
  assert.deepEqual(Object.keys(result.config.providers), ['openai', 'groq', 'cohere']);
  assert.deepEqual(result.config.providers['groq']?.apiKeys, ['gsk']);
  assert.deepEqual(
    found.map(({ name, from }) => `${name} from ${from}`),
    ['openai from OPENAI_API_KEY', 'groq from GROQ_API_KEY', 'cohere from CO_API_KEY'],
  );
  assert.deepEqual(skipped, []);
  assert.deepEqual(result.config.store, { kind: 'memory' });
});

test('keys for providers that this version lacks are named, not used', async () => {
  const { result, found, skipped } = await configFromEnvironment({ AZURE_OPENAI_API_KEY: 'g' }, nothing);
  assert.ok(result.ok);
  assert.deepEqual(result.config.providers, Object.create(null));
  assert.deepEqual(found, []);
  assert.deepEqual(skipped, [{ name: 'azure', from: 'AZURE_OPENAI_API_KEY', why: 'not available in this version' }]);
});

test('local servers that give a model list are picked up, all asked at once', async () => {
  const asked: string[] = [];
  let running = 0;
  let mostAtOnce = 0;
  const { result, found } = await configFromEnvironment({}, async (url, timeoutMs) => {
    asked.push(url);
    assert.equal(timeoutMs, 300);
    mostAtOnce = Math.max(mostAtOnce, ++running);
    await Promise.resolve();
    running--;
    if (url.includes(':11434')) return ['llama3.2', 'qwen3'];
    if (url.includes(':8000')) throw new Error('connection refused');
    return null;
  });
  assert.deepEqual(asked, [
    'http://127.0.0.1:11434/v1/models',
    'http://127.0.0.1:8080/v1/models',
    'http://127.0.0.1:8000/v1/models',
    'http://127.0.0.1:1234/v1/models',
  ]);
  assert.equal(mostAtOnce, 4);
  assert.ok(result.ok);
  assert.deepEqual(Object.keys(result.config.providers), ['ollama']);
  assert.equal(result.config.providers['ollama']?.local, true);
  assert.deepEqual(result.config.providers['ollama']?.apiKeys, []);
  assert.deepEqual(found, [{ name: 'ollama', from: 'http://127.0.0.1:11434/v1', models: ['llama3.2', 'qwen3'] }]);
});

test('nothing found is a sound config without providers', async () => {
  const { result, found } = await configFromEnvironment({}, nothing);
  assert.ok(result.ok);
  assert.deepEqual(found, []);
});

test('BREAKWATER_* and the command line hold here too', async () => {
  const env = { BREAKWATER_HOST: '0.0.0.0', BREAKWATER_PORT: '80', BREAKWATER_KEY: 'sk-client' };
  const { result } = await configFromEnvironment(env, nothing, { port: '81' });
  assert.ok(result.ok);
  assert.deepEqual([result.config.server.host, result.config.server.port, result.config.clients[0]?.key], ['0.0.0.0', 81, 'sk-client']);

  const open = await configFromEnvironment({ BREAKWATER_HOST: '0.0.0.0' }, nothing);
  assert.ok(!open.result.ok);
});

test('a key that no header can carry is a fault that does not show it', async () => {
  const { result } = await configFromEnvironment({ OPENAI_API_KEY: 'sk-with space in it' }, nothing);
  assert.ok(!result.ok);
  assert.match(result.faults[0]?.message ?? '', /^providers\.openai\.apiKey: must hold printable ASCII [^(]*$/);
});

test('addresses from the environment are used, with and without a key', async () => {
  const env = {
    OPENAI_API_KEY: 'sk-o-1',
    OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
    GROQ_BASE_URL: 'https://groq.example/openai/v1/',
    MISTRAL_API_KEY: 'm',
  };
  const { result, found } = await configFromEnvironment(env, nothing);
  assert.ok(result.ok);
  const { openai, groq, mistral } = result.config.providers;
  assert.deepEqual([openai?.baseUrl, openai?.apiKeys], ['http://127.0.0.1:9/v1', ['sk-o-1']]);
  assert.deepEqual([groq?.baseUrl, groq?.apiKeys], ['https://groq.example/openai/v1', []]);
  assert.deepEqual(mistral?.apiKeys, ['m']);
  assert.deepEqual(
    found.map(({ name, from }) => `${name} from ${from}`),
    ['openai from OPENAI_API_KEY and OPENAI_BASE_URL', 'groq from GROQ_BASE_URL', 'mistral from MISTRAL_API_KEY'],
  );
  const { skipped } = await configFromEnvironment({ AZURE_OPENAI_BASE_URL: 'http://x' }, nothing);
  assert.deepEqual(
    skipped.map(({ from }) => from),
    ['AZURE_OPENAI_BASE_URL'],
  );
});
