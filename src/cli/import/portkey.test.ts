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
  const { models } = imported({
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

test('values of any type and any depth do not break the import', () => {
  for (const odd of [null, 1, 'x', [], {}])
    importPortkey({ strategy: odd, targets: [odd], retry: odd, cache: odd, override_params: odd, provider: odd });
  let deep: Fields = { provider: 'openai' };
  for (let i = 0; i < 50; i++) deep = { strategy: { mode: 'fallback' }, targets: [deep] };
  assert.match(importPortkey(deep).notes.join('\n'), /nested deeper than 20 levels/);
});
