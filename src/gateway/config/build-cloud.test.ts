import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProviderConfig } from './config.ts';
import { effectiveConfig } from './effective.ts';
import type { Environment } from './interpolate.ts';
import { parseConfig } from './parse-config.ts';

function build(name: string, input: object, env: Environment = {}): ProviderConfig {
  const result = parseConfig({ providers: { [name]: input } }, { source: 'library', env, directory: '/etc/app' });
  assert.ok(result.ok, result.ok ? '' : result.faults.map(({ message }) => message).join('\n'));
  return result.config.providers[name]!;
}

function faultsOf(name: string, input: object, env: Environment = {}): string[] {
  const result = parseConfig({ providers: { [name]: input } }, { source: 'library', env, directory: '/etc/app' });
  return result.ok ? [] : result.faults.map(({ message }) => message);
}

test('azure reads its address, key and version from its environment variables', () => {
  const env = { AZURE_OPENAI_ENDPOINT: 'https://r.openai.azure.com/', AZURE_OPENAI_API_KEY: 'key-1', OPENAI_API_VERSION: '2024-10-21' };
  const azure = build('azure', {}, env);
  assert.deepEqual([azure.baseUrl, azure.apiKeys], ['https://r.openai.azure.com', ['key-1']]);
  assert.deepEqual(azure.address, { name: 'azure', style: 'deployments', apiVersion: '2024-10-21' });
  const written = build('azure', { baseUrl: 'https://r.openai.azure.com/openai/v1' }, env);
  assert.deepEqual([written.apiKeys, written.address], [['key-1'], { name: 'azure', style: 'v1', apiVersion: null }]);
  const preview = build('azure', { baseUrl: 'https://r.openai.azure.com', apiVersion: 'preview', apiKey: 'k' });
  assert.deepEqual(preview.address, { name: 'azure', style: 'v1', apiVersion: 'preview' });
});

test('keys and credentials from the environment are sent only to hosts of the cloud', () => {
  const env = {
    AZURE_OPENAI_API_KEY: 'azure-key-1',
    AZURE_TENANT_ID: 't',
    AZURE_CLIENT_ID: 'c',
    AZURE_CLIENT_SECRET: 'azure-secret-1',
    AWS_BEARER_TOKEN_BEDROCK: 'aws-bearer-1',
    AWS_ACCESS_KEY_ID: 'AKID1234567',
    AWS_SECRET_ACCESS_KEY: 'aws-secret-1',
    AWS_REGION: 'us-east-1',
    GOOGLE_APPLICATION_CREDENTIALS: '/key.json',
  };
  for (const baseUrl of ['https://evil.example', 'https://openai.azure.com.evil.example', 'http://r.openai.azure.com']) {
    const azure = build('azure', { baseUrl }, env);
    assert.deepEqual([azure.apiKeys, azure.identity], [[], null], baseUrl);
  }
  for (const baseUrl of ['https://evil.example', 'https://amazonaws.com.evil.example']) {
    const bedrock = build('bedrock', { baseUrl }, env);
    assert.deepEqual([bedrock.apiKeys, bedrock.identity], [[], null], baseUrl);
  }
  assert.match(faultsOf('vertex', { baseUrl: 'https://evil.example', project: 'p' }, env)[0]!, /google: is missing/);
});

test('bedrock is addressed by region and service, and authenticated with a key, a signature or a profile', () => {
  const region = { AWS_REGION: 'eu-central-1' };
  const runtime = build('bedrock', { apiKey: 'k' }, region);
  assert.equal(runtime.baseUrl, 'https://bedrock-runtime.eu-central-1.amazonaws.com');
  assert.equal(build('bedrock', { apiKey: 'k', service: 'mantle' }, region).baseUrl, 'https://bedrock-mantle.eu-central-1.api.aws');
  const env = { ...region, AWS_ACCESS_KEY_ID: 'AKID', AWS_SECRET_ACCESS_KEY: 'secret-1', AWS_SESSION_TOKEN: 'session-1' };
  assert.deepEqual(build('bedrock', {}, env).identity, {
    kind: 'aws',
    region: 'eu-central-1',
    service: 'bedrock',
    accessKeyId: 'AKID',
    secretAccessKey: 'secret-1',
    sessionToken: 'session-1',
  });
  assert.equal(build('bedrock', {}, { ...env, AWS_BEARER_TOKEN_BEDROCK: 'bearer-1' }).identity, null);
  const profile = build('bedrock', { service: 'mantle', aws: { profile: 'dev', credentialsFile: 'aws/credentials' } }, region).identity;
  assert.ok(profile?.kind === 'aws-profile');
  assert.deepEqual([profile.service, profile.profile, profile.credentialsFile], ['bedrock-mantle', 'dev', '/etc/app/aws/credentials']);
  const fromEnv = build(
    'bedrock',
    {},
    { ...region, AWS_PROFILE: 'dev', AWS_SHARED_CREDENTIALS_FILE: '/c', AWS_CONFIG_FILE: '/d' },
  ).identity;
  assert.ok(fromEnv?.kind === 'aws-profile');
  assert.deepEqual([fromEnv.profile, fromEnv.credentialsFile, fromEnv.configFile], ['dev', '/c', '/d']);
});

test('vertex is addressed by project and location, and authenticated with a key file, the metadata server or an API key', () => {
  const env = { GOOGLE_CLOUD_PROJECT: 'p-1', GOOGLE_APPLICATION_CREDENTIALS: '/key.json' };
  const vertex = build('vertex', {}, env);
  assert.deepEqual(
    [vertex.baseUrl, vertex.address],
    ['https://aiplatform.googleapis.com', { name: 'vertex', project: 'p-1', location: 'global' }],
  );
  assert.equal(build('vertex', { location: 'us-east5' }, env).baseUrl, 'https://us-east5-aiplatform.googleapis.com');
  assert.equal(build('vertex', { location: 'eu' }, env).baseUrl, 'https://aiplatform.eu.rep.googleapis.com');
  assert.deepEqual(build('vertex', { project: 'p', google: { metadata: true } }, { GCE_METADATA_HOST: '169.254.169.254' }).identity, {
    kind: 'google-metadata',
    origin: 'http://169.254.169.254',
  });
  assert.deepEqual(build('vertex', { project: 'p', google: { keyFile: 'key.json' } }).identity, {
    kind: 'google-key',
    file: '/etc/app/key.json',
    json: null,
  });
  assert.deepEqual(build('vertex', { apiKey: 'express-key' }).address, { name: 'vertex', project: null, location: 'global' });
});

const FAULTS: readonly (readonly [string, object, Environment, RegExp])[] = [
  ['azure', { apiKey: 'k' }, {}, /^providers\.azure\.baseUrl: is missing; set the address of the resource.* or AZURE_OPENAI_ENDPOINT/],
  ['azure', { baseUrl: 'https://r.openai.azure.com' }, {}, /apiKey: is missing; set it, or AZURE_OPENAI_API_KEY, or entra/],
  ['azure', { baseUrl: 'https://r.openai.azure.com/openai/deployments/d', apiKey: 'k' }, {}, /the deployment is the name of the model/],
  ['azure', { baseUrl: 'https://r.openai.azure.com', apiKey: 'k', apiVersion: '?x=1' }, {}, /apiVersion: must be a version/],
  ['bedrock', { apiKey: 'k' }, {}, /^providers\.bedrock\.region: is missing; set it, or AWS_REGION/],
  ['bedrock', {}, { AWS_REGION: 'us-east-1' }, /apiKey: is missing; .*AWS_BEARER_TOKEN_BEDROCK.*AWS_PROFILE/],
  ['bedrock', { apiKey: 'k', region: 'evil.example/' }, {}, /region: must be a region such as us-east-1/],
  [
    'bedrock',
    { region: 'us-east-1', aws: { accessKeyId: 'a' } },
    {},
    /aws\.secretAccessKey: is missing; an access key needs both accessKeyId and secretAccessKey/,
  ],
  ['bedrock', { region: 'us-east-1', apiKey: 'k', aws: { profile: 'a' } }, {}, /aws: must not be combined with a key/],
  ['vertex', { google: { metadata: true } }, {}, /^providers\.vertex\.project: is missing; set it, or GOOGLE_CLOUD_PROJECT/],
  ['vertex', { project: 'p' }, {}, /google: is missing; .*GOOGLE_APPLICATION_CREDENTIALS/],
  ['vertex', { project: 'p/../q', google: { metadata: true } }, {}, /project: must be the id of a project/],
  ['vertex', { project: 'p', location: 'evil.example', google: { metadata: true } }, {}, /location: must be a location/],
  ['vertex', { project: 'p', google: { metadata: true, keyFile: 'k' } }, {}, /must have only one of keyFile, key and metadata/],
  ['openai', { apiKey: 'k', region: 'us-east-1' }, {}, /region: is a setting of bedrock; set preset: bedrock/],
];
for (const [name, input, env, message] of FAULTS) {
  test(`${name} ${JSON.stringify(input)} is refused with a message about the fault`, () => {
    const faults = faultsOf(name, input, env);
    assert.ok(
      faults.some((fault) => message.test(fault)),
      faults.join('\n'),
    );
  });
}

test('the effective config shows the address of a cloud and no secret', () => {
  const secrets = ['the-secret-access-key-1', 'the-session-token-1', 'the-client-secret-1', 'the-private-key-1'];
  const providers = {
    bedrock: {
      region: 'us-east-1',
      aws: { accessKeyId: 'AKIDEXAMPLE1', secretAccessKey: secrets[0], sessionToken: secrets[1] },
      models: { x: { protocol: 'anthropic' } },
    },
    azure: { baseUrl: 'https://r.openai.azure.com', entra: { tenantId: 't-1', clientId: 'c-1', clientSecret: secrets[2] } },
    vertex: { project: 'p-1', google: { key: JSON.stringify({ type: 'service_account', client_email: 'e', private_key: secrets[3] }) } },
  };
  const result = parseConfig({ providers }, { source: 'library' });
  assert.ok(result.ok);
  const shown = effectiveConfig(result.config)['providers'] as Record<string, Record<string, unknown>>;
  for (const secret of secrets) {
    assert.ok(!JSON.stringify(shown).includes(secret));
    assert.ok(result.config.secrets.includes(secret), secret);
  }
  assert.deepEqual(
    [shown['bedrock']!['service'], shown['bedrock']!['region'], shown['bedrock']!['claudeApi']],
    ['runtime', 'us-east-1', 'invoke'],
  );
  assert.equal((shown['azure']!['entra'] as Record<string, unknown>)['tenantId'], 't-1');
  assert.equal(shown['vertex']!['protocol'], undefined, 'an explicit protocol would apply to Claude too');
  assert.deepEqual([shown['vertex']!['project'], shown['vertex']!['location']], ['p-1', 'global']);
});
