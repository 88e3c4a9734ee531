import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configFromEnvironment, type Probe } from './environment.ts';

const nothing: Probe = () => Promise.resolve(null);

test('every known API key variable adds its provider', async () => {
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

test('a cloud whose variables are incomplete is reported as skipped with the missing variable', async () => {
  for (const [env, from, why] of [
    [{ AZURE_OPENAI_API_KEY: 'g' }, 'AZURE_OPENAI_API_KEY', 'AZURE_OPENAI_ENDPOINT is not set'],
    [{ AWS_BEARER_TOKEN_BEDROCK: 'g' }, 'AWS_BEARER_TOKEN_BEDROCK', 'AWS_REGION is not set'],
    [{ GOOGLE_GENAI_USE_VERTEXAI: 'true' }, 'GOOGLE_GENAI_USE_VERTEXAI', 'GOOGLE_CLOUD_PROJECT is not set'],
    [
      { GOOGLE_GENAI_USE_VERTEXAI: 'true', GOOGLE_CLOUD_PROJECT: 'p' },
      'GOOGLE_GENAI_USE_VERTEXAI',
      'GOOGLE_APPLICATION_CREDENTIALS is not set',
    ],
  ] as const) {
    const { result, found, skipped } = await configFromEnvironment(env, nothing);
    assert.ok(result.ok);
    assert.deepEqual([Object.keys(result.config.providers), found], [[], []]);
    assert.deepEqual(
      skipped.map((one) => [one.from, one.why]),
      [[from, why]],
    );
  }
});

test('a cloud with complete variables is added as a provider', async () => {
  const env = {
    AZURE_OPENAI_API_KEY: 'azure-key',
    AZURE_OPENAI_ENDPOINT: 'https://r.openai.azure.com/',
    OPENAI_API_VERSION: '2024-10-21',
    AWS_BEARER_TOKEN_BEDROCK: 'bedrock-key',
    AWS_REGION: 'eu-central-1',
    GOOGLE_GENAI_USE_VERTEXAI: '1',
    GOOGLE_CLOUD_PROJECT: 'p-1',
    GOOGLE_CLOUD_LOCATION: 'europe-west4',
    GOOGLE_APPLICATION_CREDENTIALS: '/keys/google.json',
  };
  const { result, found } = await configFromEnvironment(env, nothing);
  assert.ok(result.ok);
  const { azure, bedrock, vertex } = result.config.providers;
  assert.deepEqual(
    found.map(({ name }) => name),
    ['azure', 'bedrock', 'vertex'],
  );
  assert.deepEqual([azure!.baseUrl, azure!.apiKeys], ['https://r.openai.azure.com', ['azure-key']]);
  assert.deepEqual(azure!.address, { name: 'azure', style: 'deployments', apiVersion: '2024-10-21' });
  assert.deepEqual([bedrock!.baseUrl, bedrock!.apiKeys], ['https://bedrock-runtime.eu-central-1.amazonaws.com', ['bedrock-key']]);
  assert.equal(vertex!.baseUrl, 'https://europe-west4-aiplatform.googleapis.com');
  assert.deepEqual(vertex!.identity, { kind: 'google-key', file: '/keys/google.json', json: null });
});

test('local servers with a model list are added, and all are probed in parallel', async () => {
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

test('without keys or servers the result is a valid config without providers', async () => {
  const { result, found } = await configFromEnvironment({}, nothing);
  assert.ok(result.ok);
  assert.deepEqual(found, []);
});

test('BREAKWATER_* and command-line options apply', async () => {
  const env = { BREAKWATER_HOST: '0.0.0.0', BREAKWATER_PORT: '80', BREAKWATER_KEY: 'sk-client' };
  const { result } = await configFromEnvironment(env, nothing, { port: '81' });
  assert.ok(result.ok);
  assert.deepEqual([result.config.server.host, result.config.server.port, result.config.clients[0]?.key], ['0.0.0.0', 81, 'sk-client']);

  const open = await configFromEnvironment({ BREAKWATER_HOST: '0.0.0.0' }, nothing);
  assert.ok(!open.result.ok);
});

test('a key with characters that are invalid in a header is a fault, and is not shown', async () => {
  const { result } = await configFromEnvironment({ OPENAI_API_KEY: 'sk-with space in it' }, nothing);
  assert.ok(!result.ok);
  assert.match(result.faults[0]?.message ?? '', /^providers\.openai\.apiKey: must contain only printable ASCII [^(]*$/);
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
});
