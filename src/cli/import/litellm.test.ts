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

test('weights follow the first deployment: one without a weight has none, and is a tier below, as is one with 0', () => {
  const group = (as: string, ...weights: readonly Fields[]): Fields[] =>
    weights.map((weight, i) => ({ as, model: `openai/${as}${i}`, ...weight }));
  const config = models(
    ...group('zero', { weight: 1 }, { weight: 0 }),
    ...group('missing', { weight: 3 }, {}, { weight: 1 }),
    ...group('first', {}, { weight: 5 }),
    ...group('rpm', { weight: 0, rpm: 10 }, { weight: 0, rpm: 30 }),
    ...group('ordered', { order: 1, weight: 1 }, { order: 1, weight: 0 }, { order: 2 }),
  );
  const { value, notes } = imported(config);
  assert.deepEqual(value['models'], {
    zero: ['openai/zero0', 'openai/zero1'],
    missing: [[{ target: 'openai/missing0', weight: 3 }, 'openai/missing2'], 'openai/missing1'],
    first: [['openai/first0', 'openai/first1']],
    rpm: [
      [
        { target: 'openai/rpm0', weight: 10 },
        { target: 'openai/rpm1', weight: 30 },
      ],
    ],
    ordered: ['openai/ordered0', 'openai/ordered1', 'openai/ordered2'],
  });
  assert.match(notes, /model zero: openai\/zero1 has the weight 0.*a tier below/);
  // Other strategies have no weights.
  const other = imported({ ...config, router_settings: { routing_strategy: 'least-busy' } });
  assert.deepEqual(recordOf(other.value['models'])['zero'], [['openai/zero0', 'openai/zero1']]);
});

test('a route has the longest timeout of all its deployments, those of its fallbacks included', () => {
  const timeoutsOf = (config: Fields, name = 'canary'): unknown => {
    const route = recordOf(imported(config).value['models'])[name];
    const { targets: _, ...policy } = Array.isArray(route) ? {} : recordOf(route);
    return policy;
  };
  const canary = { as: 'canary', model: 'openai/a', timeout: 10 };
  const slow = { as: 'slow', model: 'openai/b', timeout: 1200 };
  const open = { as: 'open', model: 'openai/c' };
  const to = (name: string): Fields => ({ router_settings: { fallbacks: [{ canary: [name] }] } });
  assert.deepEqual(timeoutsOf(models(canary, slow)), { timeouts: { attempt: '10s' } });
  assert.deepEqual(timeoutsOf({ ...models(canary, slow), ...to('slow') }), { timeouts: { attempt: '1200s' }, deadline: '1200s' });
  assert.deepEqual(timeoutsOf({ ...models(canary, open), ...to('open') }), {}, 'one has none: the default, 10 minutes');
  assert.deepEqual(timeoutsOf({ ...models(canary, { ...open, as: 'canary' }) }), {});
  assert.deepEqual(timeoutsOf(models(slow, { ...open, as: 'slow' }), 'slow'), { timeouts: { attempt: '1200s' }, deadline: '1200s' });
  const general = { router_settings: { timeout: 900, fallbacks: [{ canary: ['open'] }] } };
  assert.deepEqual(timeoutsOf({ ...models(canary, open), ...general }), {}, 'the global one is as long');
  assert.deepEqual(timeoutsOf({ ...models({ ...canary, timeout: 2000 }, open), ...general }), {
    timeouts: { attempt: '2000s' },
    deadline: '2000s',
  });
  const stream = (more: Fields): Fields => models({ as: 'canary', model: 'openai/a', stream_timeout: 20 }, more);
  assert.deepEqual(timeoutsOf(stream({ as: 'canary', model: 'openai/b', stream_timeout: 30 })), { timeouts: { firstContent: '30s' } });
  assert.deepEqual(timeoutsOf(stream({ as: 'canary', model: 'openai/b' })), {});
  assert.deepEqual(timeoutsOf(stream({ as: 'x', model: 'openai/b', timeout: 7200 }), 'x'), {
    timeouts: { attempt: '7200s' },
    deadline: '7200s',
    maxDeadline: '7200s',
  });
  assert.match(imported({ ...models(canary, slow), ...to('slow') }).notes, /model canary: the timeouts of its targets differ/);
});

test('every setting of a deployment is carried over or named', () => {
  const { value, notes } = imported({
    ...models(
      { model: 'openai/a', max_retries: 3, merge_reasoning_content_in_choices: true, use_litellm_proxy: false },
      { model: 'openai/b', additional_drop_params: ['logprobs', 'tools[*].strict'], aws_region_name: 'us-east-1' },
      { model: 'openai/c', rpm: 'os.environ/RPM', timeout: 'os.environ/SECONDS', litellm_credential_name: 'gone' },
      { model: 'bedrock/d', region_name: 'eu-west-1', aws_access_key_id: 'a', aws_secret_access_key: 's' },
      { model: 'azure/e', api_base: 'https://r.openai.azure.com', tenant_id: 't', client_id: 'c', client_secret: 'secret' },
      { model: 'codestral/codestral-latest', api_key: 'os.environ/MINE' },
      { model: 'codestral/codestral-latest' },
      { model: 'text-completion-codestral/codestral-latest' },
    ),
    credential_list: [{ credential_name: 'here', credential_values: {} }],
  });
  for (const pattern of [
    /model_list\[0\] \(m0\): not carried over: max_retries, merge_reasoning_content_in_choices$/m,
    /model_list\[1\] \(m1\): not carried over: tools\[\*\]\.strict .*additional_drop_params/,
    /model_list\[1\] \(m1\): not carried over: aws_region_name$/m,
    /model_list\[2\] \(m2\): not carried over: timeout, .*SECONDS/,
    /model_list\[2\] \(m2\): .*no credential named gone/,
    /model_list\[7\] \(m7\): left out: .*text-completion-codestral/,
  ])
    assert.match(notes, pattern);
  const providers = recordOf(value['providers']);
  assert.deepEqual(recordOf(recordOf(providers['openai'])['models'])['c'], { limits: { requestsPerMinute: '${RPM}' } });
  assert.equal(recordOf(providers['bedrock'])['region'], 'eu-west-1');
  assert.deepEqual(recordOf(providers['azure'])['entra'], { tenantId: 't', clientId: 'c', clientSecret: '${AZURE_CLIENT_SECRET}' });
  assert.equal(recordOf(providers['azure'])['apiKey'], undefined);
  const codestral = { protocol: 'openai', baseUrl: 'https://codestral.mistral.ai/v1' };
  assert.deepEqual(providers['codestral'], { ...codestral, apiKey: '${MINE}' });
  assert.deepEqual(providers['codestral-2'], { ...codestral, apiKey: '${CODESTRAL_API_KEY}' });
});

test('without a master key its budget and concurrency are named; a setting is carried over or named, not both', () => {
  const settings = { litellm_settings: { max_budget: 50, budget_duration: '30d', cache: true, cache_params: { ttl: 60, namespace: 'n' } } };
  const without = imported({ ...models({ model: 'openai/x' }), ...settings, general_settings: { global_max_parallel_requests: 10 } });
  assert.equal(without.value['clients'], undefined);
  for (const name of [
    'litellm_settings.max_budget',
    'litellm_settings.budget_duration',
    'litellm_settings.cache_params.namespace',
    'general_settings.global_max_parallel_requests',
  ])
    assert.ok(without.notes.includes(`${name}: not carried over`), `${name} in\n${without.notes}`);
  const general_settings = { master_key: 'os.environ/MASTER', max_parallel_requests: 10 };
  const { value, notes } = imported({
    ...models({ model: 'openai/x' }),
    general_settings,
    router_settings: { num_retries: 'os.environ/N' },
  });
  assert.deepEqual(value['clients'], [{ name: 'default', key: '${MASTER}' }]);
  assert.match(notes, /general_settings\.max_parallel_requests: not carried over/);
  assert.match(notes, /num_retries: not carried over/);
});

test('every tier of a long chain of fallbacks has an attempt', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const list = names.map((as) => ({ as, model: `openai/${as}` }));
  const policyOf = (fallbacks: readonly string[], more: Fields = {}): unknown =>
    imported({ ...models(...list), router_settings: { fallbacks: [{ a: fallbacks }], ...more } }).value['policy'];
  assert.deepEqual(policyOf(names.slice(1)), { maxAttempts: 6 });
  assert.deepEqual(policyOf(names.slice(1), { num_retries: 1 }), { maxAttempts: 6 });
  assert.equal(policyOf(names.slice(1, 4)), undefined);
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
