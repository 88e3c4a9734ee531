import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { parseConfig } from '../../gateway/config/index.ts';
import { recordOf, type Fields } from './draft.ts';
import { importLitellm } from './litellm.ts';

function imported(config: Fields): { readonly value: Fields; readonly text: string; readonly notes: string } {
  const draft = importLitellm(config);
  const text = draft.text('test');
  return { value: parse(text) as Fields, text, notes: draft.notes.join('\n') };
}

function models(...entries: readonly Fields[]): Fields {
  return { model_list: entries.map((params, i) => ({ model_name: params['as'] ?? `m${i}`, litellm_params: params })) };
}

test('every prefix leads to its preset, and the result is valid', () => {
  const { value, text } = imported(
    models(
      { model: 'azure/dep', api_base: 'https://a.openai.azure.com', api_key: 'os.environ/AZ', api_version: '2024-10-21' },
      { model: 'bedrock/us-east-1/anthropic.claude-v2', aws_region_name: 'us-east-1', aws_profile_name: 'dev' },
      {
        model: 'vertex_ai/gemini-2.5-pro',
        vertex_project: 'p',
        vertex_location: 'global',
        vertex_credentials: '{"type":"service_account"}',
      },
      { model: 'together_ai/meta-llama/Llama-3', api_key: 'os.environ/T' },
      { model: 'claude-sonnet-4-5' },
      { model: 'gpt-4o' },
      { model: 'ollama_chat/llama3', api_base: 'http://localhost:11434' },
      { model: 'hosted_vllm/meta/llama', api_base: 'http://10.0.0.1:8000/v1' },
      { model: 'moonshot/kimi-k2' },
      { model: 'my_server/x', api_base: 'https://llm.example/v1', api_key: 'os.environ/MINE' },
    ),
  );
  const targets = Object.values(recordOf(value['models'])).flat();
  assert.deepEqual(targets, [
    'azure/dep',
    'bedrock/anthropic.claude-v2',
    'vertex/gemini-2.5-pro',
    'together/meta-llama/Llama-3',
    'anthropic/claude-sonnet-4-5',
    'openai/gpt-4o',
    'ollama/llama3',
    'vllm/meta/llama',
    'moonshot/kimi-k2',
    'my_server/x',
  ]);
  const env = Object.fromEntries([...text.matchAll(/\$\{(\w+)\}|^# {3}(\w+):/gm)].map((match) => [match[1] ?? match[2]!, 'k']));
  const parsed = parseConfig(value, { env: { ...env, VERTEX_CREDENTIALS: '{}' }, source: 'file' });
  const faults = parsed.ok ? [] : parsed.faults.map(({ path, message }) => `${path} ${message}`);
  assert.deepEqual(
    faults.filter((fault) => !fault.includes('google')),
    [],
  );
});

test('a key in plain text becomes a variable that no other key of the source uses', () => {
  const { value, text } = imported(
    models(
      { model: 'openai/a', api_key: 'sk-secret-1' },
      { model: 'openai/b', api_key: 'os.environ/OPENAI_API_KEY' },
      { model: 'openai/c', api_key: 'sk-secret-1' },
      { model: 'openai/d', api_key: 'sk-secret-2' },
      { model: 'openai/e', api_base: 'https://user:sk-secret-3@host/v1', api_key: 'x' },
    ),
  );
  assert.ok(!/sk-secret/.test(text), text);
  const keys = Object.values(recordOf(value['providers'])).map((provider) => recordOf(provider)['apiKey']);
  assert.deepEqual(keys, ['${OPENAI_API_KEY_2}', '${OPENAI_API_KEY}', '${OPENAI_API_KEY_3}', '${OPENAI_API_KEY_4}']);
});

test('a secret in the body of a request becomes a variable', () => {
  const { value, text } = imported(
    models({
      model: 'openai/a',
      max_tokens: 5,
      extra_body: { tools: [{ headers: { 'X-Api-Key': 'sk-secret-1' } }], note: 'a ${b}', token: 'os.environ/T' },
    }),
  );
  assert.ok(!/sk-secret/.test(text), text);
  const [target] = Object.values(recordOf(value['models'])).flat();
  const set = { max_tokens: 5, tools: [{ headers: { 'X-Api-Key': '${X_API_KEY}' } }], note: 'a $${b}', token: '${T}' };
  assert.deepEqual(recordOf(target)['set'], set);
});

test('weights come from weight, else from rpm; order makes tiers; fallbacks are the tiers below', () => {
  const { value } = imported({
    ...models(
      { as: 'a', model: 'openai/x', rpm: 10 },
      { as: 'a', model: 'azure/y', api_base: 'https://h', api_key: 'k', rpm: 30 },
      { as: 'b', model: 'groq/z', order: 2 },
      { as: 'b', model: 'openai/w', order: 1, additional_drop_params: ['logprobs'] },
    ),
    router_settings: { fallbacks: [{ a: ['b', 'missing'] }], default_fallbacks: ['b'] },
  });
  const routes = recordOf(value['models']);
  assert.deepEqual(routes['a'], [
    [
      { target: 'openai/x', weight: 10 },
      { target: 'azure/y', weight: 30 },
    ],
    { target: 'openai/w', drop: ['logprobs'] },
    'groq/z',
  ]);
  assert.deepEqual(routes['b'], [{ target: 'openai/w', drop: ['logprobs'] }, 'groq/z']);
});

test('settings are carried over where they have a counterpart, and named where they have none', () => {
  const { value, notes } = imported({
    ...models({ model: 'openai/x' }),
    router_settings: { num_retries: 5, timeout: 900, stream_timeout: 20, allowed_fails: 2, cooldown_time: 45, enable_tag_filtering: true },
    litellm_settings: { cache: true, cache_params: { type: 'redis-semantic', ttl: 60 }, guardrails: [] },
    general_settings: { database_url: 'postgres://secret', alerting: ['slack'] },
    guardrails: [],
  });
  assert.deepEqual(value['policy'], {
    maxAttempts: 6,
    timeouts: { attempt: '900s', firstContent: '20s' },
    deadline: '900s',
    breaker: { consecutiveFailures: 3, openFor: '45s' },
    cache: { enabled: true, ttl: '60s' },
  });
  for (const words of [
    'enable_tag_filtering',
    'redis-semantic',
    'litellm_settings.guardrails',
    'database_url',
    'alerting',
    'guardrails: not carried',
  ])
    assert.ok(notes.includes(words), `${words} in\n${notes}`);
  assert.ok(!notes.includes('postgres://'));
});

test('the budget and concurrency of the proxy are those of its client; a period that has no counterpart is named', () => {
  const general_settings = { master_key: 'os.environ/MASTER', global_max_parallel_requests: 100 };
  const budget = (budget_duration: string) =>
    imported({ ...models({ model: 'openai/x' }), general_settings, litellm_settings: { max_budget: 50, budget_duration } });
  const client = { name: 'default', key: '${MASTER}', limits: { concurrency: 100 } };
  assert.deepEqual(budget('30d').value['clients'], [{ ...client, budget: { usd: 50, per: 'month' } }]);
  const odd = budget('45d');
  assert.deepEqual([odd.value['clients'], odd.notes.includes('(got 45d)')], [[client], true]);
});

test('a bare wildcard adds no provider, and default fallbacks are for chat models', () => {
  const { value, notes } = imported({
    model_list: [
      { model_name: '*', litellm_params: { model: '*' } },
      { model_name: 'chat', litellm_params: { model: 'groq/a' } },
      {
        model_name: 'whisper',
        litellm_params: { model: 'groq/whisper' },
        model_info: { mode: 'audio_transcription', access_groups: ['x'] },
      },
      { model_name: 'spare', litellm_params: { model: 'groq/b' } },
    ],
    litellm_settings: { default_fallbacks: ['spare'] },
  });
  assert.deepEqual(Object.keys(recordOf(value['providers'])), ['groq']);
  assert.deepEqual(value['models'], { chat: ['groq/a', 'groq/b'], whisper: ['groq/whisper'], spare: ['groq/b'] });
  assert.match(notes, /served by its name[^]*access_groups/);
});

test('values of any type do not break the import', () => {
  const odd = [null, 1, 'x', [], {}, [null], { model_name: 'a' }, { model_name: 'a', litellm_params: 3 }];
  for (const entry of odd) importLitellm({ model_list: [entry], router_settings: entry, litellm_settings: entry, general_settings: entry });
  for (const value of odd) {
    const { text } = imported({
      ...models({ model: 'openai/x', api_key: value, rpm: value, weight: value, extra_headers: value, timeout: value }),
    });
    assert.match(text, /openai\/x/);
  }
});

test('a deployment of weight 0 gets no requests; a missing weight beside others counts as 0', () => {
  const { value, notes } = imported({
    model_list: [
      { model_name: 'm', litellm_params: { model: 'openai/x', weight: 1 } },
      { model_name: 'm', litellm_params: { model: 'openai/drained', weight: 0 } },
      { model_name: 'm', litellm_params: { model: 'openai/unset' } },
      { model_name: 'all', litellm_params: { model: 'openai/x', weight: 0 } },
      { model_name: 'all', litellm_params: { model: 'openai/y', weight: 0 } },
    ],
  });
  assert.deepEqual(value['models'], { m: ['openai/x'], all: [['openai/x', 'openai/y']] });
  assert.match(notes, /openai\/drained is left out: its weight is 0/);
});

test('a route has a timeout only if all its deployments have one, fallbacks included', () => {
  const { value, notes } = imported({
    model_list: [
      { model_name: 'both', litellm_params: { model: 'openai/a', timeout: 10 } },
      { model_name: 'both', litellm_params: { model: 'openai/b', timeout: 30 } },
      { model_name: 'one', litellm_params: { model: 'openai/a', timeout: 10 } },
      { model_name: 'one', litellm_params: { model: 'openai/b' } },
      { model_name: 'quick', litellm_params: { model: 'openai/c', timeout: 10 } },
      { model_name: 'slow', litellm_params: { model: 'openai/o3', timeout: 1_200 } },
    ],
    router_settings: { fallbacks: [{ quick: ['slow'] }] },
  });
  const long = { timeouts: { attempt: '1200s' }, deadline: '1200s' };
  const routes = recordOf(value['models']);
  assert.deepEqual(routes['both'], { targets: [['openai/a', 'openai/b']], timeouts: { attempt: '30s' } });
  assert.deepEqual(routes['one'], [['openai/a', 'openai/b']]);
  assert.deepEqual(routes['quick'], { targets: ['openai/c', 'openai/o3'], ...long });
  assert.deepEqual(routes['slow'], { targets: ['openai/o3'], ...long });
  assert.equal(parseConfig(value, { source: 'file', env: { OPENAI_API_KEY: 'sk' } }).ok, true);
  assert.match(notes, /model one: the timeouts of its deployments differ: none is carried over/);
});

test('every tier of a long chain of fallbacks can be reached', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const { value } = imported({
    model_list: names.map((name) => ({ model_name: name, litellm_params: { model: `openai/${name}` } })),
    router_settings: { fallbacks: [{ a: names.slice(1) }] },
  });
  assert.deepEqual(value['policy'], { maxAttempts: 6 });
});

test('what has no counterpart is named', () => {
  const { notes } = imported({
    model_list: [
      {
        model_name: 'm',
        litellm_params: {
          model: 'openai/x',
          max_retries: 1,
          region_name: 'eu',
          additional_drop_params: ['tools[*].strict'],
          litellm_credential_name: 'c',
        },
      },
    ],
    general_settings: { global_max_parallel_requests: 5 },
    litellm_settings: { max_budget: 10, budget_duration: '30d' },
  });
  for (const name of [
    'max_retries',
    'region_name',
    'tools[*].strict',
    'litellm_credential_name: c',
    'global_max_parallel_requests, max_budget, budget_duration',
  ])
    assert.ok(notes.includes(name), `${name} is missing in:\n${notes}`);
});
