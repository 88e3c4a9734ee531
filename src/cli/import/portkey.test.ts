import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { parseConfig } from '../../gateway/config/index.ts';
import { recordOf, type Fields } from './draft.ts';
import { importPortkey } from './portkey.ts';

function imported(config: Fields): { readonly models: Fields; readonly value: Fields; readonly notes: string } {
  const draft = importPortkey(config);
  const text = draft.text('test');
  const value = parse(text) as Fields;
  const env = Object.fromEntries(
    [...text.matchAll(/\$\{(\w+)\}|^# {3}(\w+):/gm)].map((match) => [match[1] ?? match[2]!, 'https://k.example']),
  );
  const parsed = parseConfig(value, { env, source: 'file' });
  assert.deepEqual(parsed.ok ? [] : parsed.faults.map(({ path, message }) => `${path} ${message}`), [], text);
  return { models: recordOf(value['models']), value, notes: draft.notes.join('\n') };
}

test('conditions on the model become routes, the default serves all other names, and others are named', () => {
  const { models, notes } = imported({
    strategy: {
      mode: 'conditional',
      conditions: [
        { query: { 'params.model': { $eq: 'fastest' } }, then: 'mini' },
        { query: { 'params.model': { $in: ['smart', 'smartest'] } }, then: 'big' },
        { query: { 'params.model': 'plain' }, then: 'any' },
        { query: { 'metadata.user_plan': { $eq: 'paid' } }, then: 'big' },
      ],
      default: 'mini',
    },
    targets: [
      { name: 'mini', provider: 'openai', api_key: 'k1', override_params: { model: 'gpt-4o-mini' } },
      { name: 'any', provider: 'groq', api_key: 'k3' },
      { name: 'big', provider: 'anthropic', api_key: 'k2', override_params: { model: 'claude-opus-4-5', max_tokens: 100 } },
    ],
  });
  const big = [{ target: 'anthropic/claude-opus-4-5', set: { max_tokens: 100 } }];
  assert.deepEqual(models, {
    fastest: ['openai/gpt-4o-mini'],
    smart: big,
    smartest: big,
    plain: ['groq/plain'],
    '*': ['openai/gpt-4o-mini'],
  });
  assert.match(notes, /conditions\[3\]: not carried over/);
});

test('a single target without a model passes the requested name on; settings become policies', () => {
  const { models, value } = imported({
    provider: 'groq',
    apiKey: 'k',
    retry: { attempts: 2 },
    cache: { mode: 'simple', maxAge: 60 },
    requestTimeout: 1_500,
  });
  assert.deepEqual(models, { '*': ['groq/*'] });
  assert.deepEqual(value['policy'], { maxAttempts: 3, timeouts: { attempt: '1500ms' }, cache: { enabled: true, ttl: '60s' } });
});

test('weights of a load balance are shared by what is inside its targets; a weight of 0 leaves a target out', () => {
  const leaf = (model: string, weight?: number): Fields => ({
    provider: 'openai',
    api_key: 'k',
    override_params: { model },
    ...(weight === undefined ? {} : { weight }),
  });
  const { models, notes } = imported({
    strategy: { mode: 'loadbalance' },
    targets: [{ weight: 0.5, strategy: { mode: 'loadbalance' }, targets: [leaf('a', 1), leaf('b', 3)] }, leaf('c', 0.5), leaf('d', 0)],
  });
  assert.deepEqual(models['*'], [
    [
      { target: 'openai/a', weight: 0.125 },
      { target: 'openai/b', weight: 0.375 },
      { target: 'openai/c', weight: 0.5 },
    ],
  ]);
  assert.match(notes, /config\.targets\[2\]: left out: its weight is 0/);
});

test('clouds and stored keys keep their settings, and the variables to set are named', () => {
  const { value, models } = imported({
    strategy: { mode: 'fallback' },
    targets: [
      { provider: 'azure-openai', azure_resource_name: 'res', azure_deployment_id: 'dep', azure_api_version: '2024-10-21', api_key: 'k' },
      { provider: 'bedrock', aws_region: 'us-east-1', aws_access_key_id: 'a', aws_secret_access_key: 's', override_params: { model: 'm' } },
      { override_params: { model: '@anthropic-team/claude-sonnet-4-5' } },
    ],
  });
  assert.deepEqual(models['*'], ['azure/dep', 'bedrock/m', 'anthropic/claude-sonnet-4-5']);
  const providers = recordOf(value['providers']);
  assert.deepEqual(recordOf(providers['azure'])['baseUrl'], 'https://res.openai.azure.com');
  assert.deepEqual(recordOf(providers['anthropic'])['apiKey'], '${ANTHROPIC_API_KEY_TEAM}');
  assert.deepEqual(recordOf(providers['bedrock'])['aws'], {
    accessKeyId: '${AWS_ACCESS_KEY_ID}',
    secretAccessKey: '${AWS_SECRET_ACCESS_KEY}',
  });
});

test('a host and forwarded headers of a group apply to the targets within it, unless they have their own', () => {
  const { value } = imported({
    custom_host: 'https://proxy.example/v1',
    forward_headers: ['x-tenant', 'Authorization'],
    strategy: { mode: 'fallback' },
    targets: [
      { provider: 'openai', api_key: 'k1', override_params: { model: 'a' } },
      { strategy: { mode: 'loadbalance' }, targets: [{ provider: 'groq', api_key: 'k2', override_params: { model: 'b' } }] },
      { provider: 'openai', api_key: 'k3', custom_host: 'https://own.example/v1', override_params: { model: 'c' } },
    ],
  });
  const providers = Object.values(recordOf(value['providers'])).map(recordOf);
  assert.deepEqual(
    providers.map(({ baseUrl, forwardHeaders }) => [baseUrl, forwardHeaders]),
    [
      ['https://proxy.example/v1', ['x-tenant']],
      ['https://proxy.example/v1', ['x-tenant']],
      ['https://own.example/v1', ['x-tenant']],
    ],
  );
});

test('session tokens, service accounts, Entra applications, organizations and projects are credentials of the provider', () => {
  const { value, notes } = imported({
    strategy: { mode: 'fallback' },
    targets: [
      {
        provider: 'bedrock',
        aws_region: 'us-east-1',
        aws_access_key_id: 'a',
        aws_secret_access_key: 's',
        aws_session_token: 't',
        override_params: { model: 'm' },
      },
      {
        provider: 'vertex-ai',
        vertex_project_id: 'p',
        vertex_region: 'us-central1',
        vertex_service_account_json: { type: 'service_account', private_key: 'PLAIN' },
        override_params: { model: 'gemini-2.5-pro' },
      },
      {
        provider: 'azure-openai',
        resource_name: 'res',
        deployment_id: 'dep',
        api_version: '2024-10-21',
        azure_auth_mode: 'entra',
        azure_entra_tenant_id: 'tenant',
        azure_entra_client_id: 'client',
        azure_entra_client_secret: 'PLAIN-2',
      },
      { provider: 'openai', api_key: 'k', openai_organization: 'org', openai_project: 'proj', override_params: { model: 'x' } },
    ],
  });
  const { bedrock, vertex, azure, openai } = recordOf(value['providers']);
  assert.deepEqual(recordOf(recordOf(bedrock)['aws'])['sessionToken'], '${AWS_SESSION_TOKEN}');
  assert.deepEqual(recordOf(vertex)['google'], { key: '${VERTEX_CREDENTIALS}' });
  assert.deepEqual(azure, {
    baseUrl: 'https://res.openai.azure.com',
    apiVersion: '2024-10-21',
    entra: { tenantId: 'tenant', clientId: 'client', clientSecret: '${AZURE_CLIENT_SECRET}' },
  });
  assert.deepEqual(recordOf(openai)['headers'], { 'OpenAI-Organization': 'org', 'OpenAI-Project': 'proj' });
  assert.ok(!/not carried over/.test(notes), notes);
});

test('every setting that is not carried over is named, in groups, targets, strategies, retries and caches', () => {
  const { notes } = imported({
    strategy: { mode: 'fallback', sticky: { enabled: true } },
    metadata: { team: 'a' },
    api_key: 'k0',
    retry: { attempts: 1, use_retry_after_header: true, jitter: 3 },
    cache: { mode: 'simple', namespace: 'n' },
    targets: [
      {
        provider: 'bedrock',
        aws_role_arn: 'arn',
        aws_region: 'us-east-1',
        override_params: { model: 'm' },
        strict_open_ai_compliance: false,
      },
      { provider: 'azure-openai', azure_auth_mode: 'managed', azure_resource_name: 'r', deployment_id: 'd' },
      { provider: 'openai', api_key: 'k', vertex_region: 'x', output_mutators: [{ id: 'm' }], override_params: { model: 'x' } },
    ],
  });
  for (const place of [
    'config.strategy.sticky',
    'config.metadata',
    'config.api_key',
    'config.retry.jitter',
    'config.cache.namespace',
    'config.targets[0].aws_role_arn',
    'config.targets[0].strict_open_ai_compliance',
    'config.targets[1].azure_auth_mode',
    'config.targets[2].vertex_region',
    'config.targets[2].output_mutators',
  ])
    assert.ok(
      notes.split('\n').some((line) => line.startsWith(`${place}: not carried over`)),
      `${place} in\n${notes}`,
    );
  for (const name of ['use_retry_after_header', 'provider', 'override_params', 'targets:'])
    assert.ok(!notes.includes(`.${name}`), `${name} in\n${notes}`);
});

test('a single strategy has one target; a condition notes the settings of the root and targets that nothing selects', () => {
  const leaf = (name: string): Fields => ({ name, provider: 'openai', api_key: 'k', override_params: { model: name } });
  const single = imported({ strategy: { mode: 'single' }, targets: [leaf('a'), leaf('b')] });
  assert.deepEqual(single.models['*'], ['openai/a']);
  assert.match(single.notes, /config\.targets\[1\]: left out: .*single/);
  const { notes, models } = imported({
    strategy: { mode: 'conditional', conditions: [{ query: { 'params.model': 'x' }, then: 'a' }], default: 'b' },
    input_guardrails: [{ 'default.contains': {} }],
    targets: [leaf('a'), leaf('b'), leaf('c')],
  });
  assert.deepEqual(models, { x: ['openai/a'], '*': ['openai/b'] });
  assert.match(notes, /config\.input_guardrails: not carried over/);
  assert.match(notes, /config\.targets\[2\]: left out: /);
});

test('a long timeout raises the deadline, and every tier of a long chain has an attempt', () => {
  const target = (i: number): Fields => ({ provider: 'openai', api_key: 'k', override_params: { model: `m${i}` } });
  const chain = { strategy: { mode: 'fallback' }, targets: [0, 1, 2, 3, 4, 5].map(target) };
  assert.deepEqual(imported(chain).value['policy'], { maxAttempts: 6 });
  assert.equal(imported({ ...chain, targets: chain.targets.slice(0, 4) }).value['policy'], undefined);
  const { value } = imported({ ...chain, retry: { attempts: 9 }, request_timeout: 7_200_000 });
  assert.deepEqual(value['policy'], { maxAttempts: 10, timeouts: { attempt: '7200s' }, deadline: '7200s', maxDeadline: '7200s' });
});

test('values of any type and any depth do not break the import', () => {
  for (const odd of [null, 1, 'x', [], {}])
    importPortkey({ strategy: odd, targets: [odd], retry: odd, cache: odd, override_params: odd, provider: odd });
  let deep: Fields = { provider: 'openai' };
  for (let i = 0; i < 50; i++) deep = { strategy: { mode: 'fallback' }, targets: [deep] };
  assert.match(importPortkey(deep).notes.join('\n'), /nested deeper than 20 levels/);
});
